//! The guest's console.

use std::time::Duration;

use mlua::{LuaString, UserData, UserDataMethods};

use super::handle::Vm;
use crate::script::bind::{CallResult, LuaDuration, Methods, look_up};
use crate::script::context::{Context, SharedVm};

const CLASS: &str = "console";

/// How long `console:expect` waits unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A handle on the console of a VM.
struct Console(SharedVm);

impl UserData for Console {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

/// Adds the call that gives a VM's console.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("console", console)
}

fn console(_: &Context, vm: &Vm, (): ()) -> CallResult<Console> {
    Ok(Console(vm.shared().clone()))
}

/// Makes the methods of a console known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("read_log", read_log)?;
    methods.add("write", write)?;
    methods.add("expect", expect)?;
    methods.add("close", close)?;
    methods.register()
}

fn read_log(_: &Context, console: &Console, (): ()) -> CallResult<String> {
    Ok(console.0.borrow().console_log())
}

fn write(_: &Context, console: &Console, text: LuaString) -> CallResult<()> {
    Ok(console.0.borrow_mut().type_in(&text.as_bytes())?)
}

fn expect(
    _: &Context,
    console: &Console,
    (text, timeout): (String, Option<LuaDuration>),
) -> CallResult<String> {
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    console.0.borrow_mut().expect(&text, timeout)?;
    Ok(text)
}

/// Does nothing: a console stays open as long as its VM.
fn close(_: &Context, _: &Console, (): ()) -> CallResult<()> {
    Ok(())
}
