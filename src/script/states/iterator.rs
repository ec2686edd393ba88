//! The states of a log, as Lua goes through them.

use std::path::Path;

use mlua::{AnyUserData, Function, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::options::WHICH;
use super::state::State;
use super::walk::{Walked, start};
use crate::script::bind::{CallResult, Options, wrong_argument};
use crate::script::context::Context;
use crate::script::disk::Disk;
use crate::script::host_path::host_path;

/// The states of a log. A call of it returns the next one.
pub(in crate::script) struct States(Walked);

impl UserData for States {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // `for` passes what it does not know, too.
        methods.add_meta_method(MetaMethod::Call, |_, states, _: MultiValue| {
            Ok(states.0.next().map(|found| State::new(&states.0, found)))
        });
    }
}

/// The states of the log at `log`, as the options say.
pub(in crate::script) fn open(
    context: &Context,
    log: &Path,
    options: &Options,
) -> CallResult<States> {
    options.only(&WHICH)?;
    Ok(States(start(context, log, options)?))
}

/// The states of what a call got: a disk, whose log is ended, or the path of a log.
pub(super) fn of_argument(
    context: &Context,
    call: &str,
    value: &Value,
    options: &Options,
) -> CallResult<Walked> {
    let log = match value {
        Value::String(path) => host_path(context, path.to_string_lossy()),
        Value::UserData(object) if object.is::<Disk>() => object.borrow::<Disk>()?.end_log()?,
        other => return Err(wrong_argument(call, 1, "disk, or path of a log", other).into()),
    };
    start(context, &log, options)
}

/// `provium:states(path, options?)`.
pub(super) fn of_path(
    context: &Context,
    (_provium, path, options): (Value, String, Options),
) -> CallResult<States> {
    open(context, &host_path(context, path), &options)
}

/// The states for `vm:try_states(disk, options, fn)`, and whether a guest boots on each.
pub(super) fn to_try(
    context: &Context,
    (_vm, disk, options, _fn): (Value, Value, Options, Function),
) -> CallResult<(States, bool)> {
    options.only(&[&WHICH[..], &["boot"]].concat())?;
    let boot = options.flag("boot")?;
    let states = of_argument(context, "vm:try_states", &disk, &options)?;
    Ok((States(states), boot))
}

/// A call of the prelude about the states that a guest looks at.
pub(super) fn plugged(_: &Context, states: AnyUserData) -> CallResult<()> {
    let states = states.borrow::<States>()?;
    Ok(states
        .0
        .kept()
        .plugged()
        .map_err(|error| error.to_string())?)
}

/// Whether the guest of `disk` has nothing of the state any more, so that it can get the next one in the same disk.
pub(super) fn let_go(
    context: &Context,
    (states, disk): (AnyUserData, AnyUserData),
) -> CallResult<bool> {
    let states = states.borrow::<States>()?;
    let kept = states.0.kept();
    // Before our own look at the disk.
    let read = kept.read().map_err(|error| error.to_string())?;
    let has_let_go = disk.borrow::<Disk>()?.is_let_go(context)?;
    if has_let_go {
        kept.let_go(read);
    }
    Ok(has_let_go)
}

/// The guest has no disk any more.
pub(super) fn unplugged(_: &Context, states: AnyUserData) -> CallResult<()> {
    let states = states.borrow::<States>()?;
    Ok(states
        .0
        .kept()
        .unplugged()
        .map_err(|error| error.to_string())?)
}
