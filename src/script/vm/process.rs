//! A command in the guest that was started and not waited for.

use std::rc::Rc;

use mlua::{Table, UserData, UserDataMethods};

use super::run_result::run_result;
use crate::script::bind::{CallResult, LuaDuration, Methods, look_up};
use crate::script::context::{Context, SharedProcess, SharedVm};

const CLASS: &str = "process";

/// A handle on a process in a guest. Clones share it.
#[derive(Clone)]
pub(super) struct Process {
    vm: SharedVm,
    process: SharedProcess,
    command: Rc<str>,
}

impl UserData for Process {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

impl Process {
    /// A handle on `process`, which runs `command` in `vm`.
    pub(super) fn new(vm: &SharedVm, process: SharedProcess, command: String) -> Self {
        Self {
            vm: Rc::clone(vm),
            process,
            command: command.into(),
        }
    }
}

/// Makes the methods of a process known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("wait", wait)?;
    methods.add("kill", kill)?;
    methods.add("signal", kill)?;
    methods.add("status", status)?;
    methods.add("close", close)?;
    methods.add("pid", pid)?;
    methods.register()
}

/// Waits for the end of a process, and kills it at the time-out.
pub(super) fn wait(
    context: &Context,
    process: &Process,
    timeout: Option<LuaDuration>,
) -> CallResult<Table> {
    let timeout = timeout.map(|timeout| timeout.0);
    // The VM is free again before Lua makes the table: what Lua collects may call it.
    let waited = process
        .vm
        .borrow_mut()
        .wait(&mut process.process.borrow_mut(), timeout);
    run_result(context, &process.command, &waited?)
}

/// Sends a signal, TERM unless told otherwise.
pub(super) fn kill(_: &Context, process: &Process, signal: Option<String>) -> CallResult<()> {
    let signal = signal.as_deref().unwrap_or("TERM");
    let mut vm = process.vm.borrow_mut();
    Ok(vm.kill(&mut process.process.borrow_mut(), signal)?)
}

fn status(_: &Context, process: &Process, (): ()) -> CallResult<&'static str> {
    let mut vm = process.vm.borrow_mut();
    let result = vm.poll(&mut process.process.borrow_mut())?;
    Ok(result.map_or("running", |result| result.status()))
}

fn close(context: &Context, process: &Process, (): ()) -> CallResult<()> {
    kill(context, process, Some("KILL".into()))
}

fn pid(_: &Context, process: &Process, (): ()) -> CallResult<i64> {
    Ok(process.process.borrow().pid())
}
