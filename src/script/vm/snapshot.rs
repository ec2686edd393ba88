//! Snapshots of a VM.

use std::cell::RefCell;

use mlua::{MetaMethod, UserData, UserDataMethods, Value};

use super::handle::Vm;
use super::lifecycle::log_notes;
use crate::script::bind::{CallResult, Methods, Options, look_up, wrong_argument};
use crate::script::context::Context;
use crate::vm::{RestoreClock, VmSnapshot};

const CLASS: &str = "snapshot";

/// A handle on a snapshot, until it is dropped.
struct Snapshot {
    vm: String,
    snapshot: RefCell<Option<VmSnapshot>>,
}

impl UserData for Snapshot {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, snapshot, ()| {
            let is_there = snapshot.snapshot.borrow().is_some();
            let dropped = if is_there { "" } else { ", dropped" };
            Ok(format!("snapshot of vm `{}`{dropped}", snapshot.vm))
        });
        look_up(methods, CLASS);
    }
}

/// Adds the calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("snapshot", snapshot)?;
    methods.add("restore", restore)
}

/// Makes the methods of a snapshot known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("drop", forget)?;
    methods.register()
}

fn snapshot(context: &Context, vm: &Vm, (): ()) -> CallResult<Snapshot> {
    let taken = vm.get().snapshot();
    log_notes(context, vm);
    let taken = taken?;
    Ok(Snapshot {
        vm: taken.vm().to_owned(),
        snapshot: RefCell::new(Some(taken)),
    })
}

fn restore(context: &Context, vm: &Vm, (value, options): (Value, Options)) -> CallResult<Vm> {
    options.only(&["clock"])?;
    let clock = options.read("clock", r#""now" or "then""#, clock)?;
    let handle = value.as_userdata().map(|value| value.borrow::<Snapshot>());
    let Some(Ok(handle)) = handle else {
        return Err(wrong_argument("vm:restore", 1, "a snapshot", &value).into());
    };
    let snapshot = handle.snapshot.borrow();
    let Some(snapshot) = &*snapshot else {
        return Err("the snapshot was dropped".into());
    };
    let restored = vm.get().restore(snapshot, clock.unwrap_or_default());
    log_notes(context, vm);
    restored?;
    Ok(vm.clone())
}

fn clock(value: &Value) -> Option<RestoreClock> {
    match &*value.as_string()?.to_string_lossy() {
        "now" => Some(RestoreClock::Now),
        "then" => Some(RestoreClock::Then),
        _ => None,
    }
}

fn forget(_: &Context, snapshot: &Snapshot, (): ()) -> CallResult<()> {
    drop(snapshot.snapshot.take());
    Ok(())
}
