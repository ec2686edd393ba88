//! The guest's clock.

use mlua::{UserData, UserDataMethods};

use super::handle::Vm;
use crate::script::bind::{CallResult, LuaDuration, Methods, look_up};
use crate::script::context::{Context, SharedVm};

const CLASS: &str = "clock";

/// A handle on the clock of a VM.
struct Clock(SharedVm);

impl UserData for Clock {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

/// Adds the call that gives a VM's clock.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("clock", clock)
}

fn clock(_: &Context, vm: &Vm, (): ()) -> CallResult<Clock> {
    Ok(Clock(vm.shared().clone()))
}

/// Makes the methods of a clock known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("sleep", sleep)?;
    methods.add("get", get)?;
    methods.add("get_ns", get_ns)?;
    methods.add("set", set)?;
    methods.add("set_ns", set_ns)?;
    methods.add("advance", advance)?;
    methods.register()
}

/// Sleeps by the host's clock.
fn sleep(context: &Context, _: &Clock, duration: LuaDuration) -> CallResult<()> {
    Ok(context.sleep(duration.0)?)
}

fn get(_: &Context, clock: &Clock, (): ()) -> CallResult<f64> {
    let time = clock.0.borrow_mut().time()?;
    Ok(time as f64 / 1e9)
}

fn get_ns(_: &Context, clock: &Clock, (): ()) -> CallResult<i64> {
    Ok(clock.0.borrow_mut().time()?)
}

fn set(_: &Context, clock: &Clock, seconds: f64) -> CallResult<()> {
    let time = (seconds * 1e9) as i64;
    Ok(clock.0.borrow_mut().set_time(time)?)
}

fn set_ns(_: &Context, clock: &Clock, nanoseconds: i64) -> CallResult<()> {
    let mut vm = clock.0.borrow_mut();
    Ok(vm.set_time(nanoseconds)?)
}

fn advance(_: &Context, clock: &Clock, by: LuaDuration) -> CallResult<()> {
    let mut vm = clock.0.borrow_mut();
    let time = vm.time()?;
    let time = time.saturating_add(by.0.as_nanos() as i64);
    Ok(vm.set_time(time)?)
}
