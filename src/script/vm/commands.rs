//! Running commands in the guest.

use mlua::{Table, Value};

use super::command::command;
use super::handle::Vm;
use super::process::Process;
use super::run_result::run_result;
use crate::script::bind::{CallResult, Methods};
use crate::script::context::{Context, SharedProcess, SharedVm};

/// Adds the calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("run", run)?;
    methods.add("run_async", run_async)
}

fn run(context: &Context, vm: &Vm, args: (Value, Value)) -> CallResult<Table> {
    run_command(context, vm.shared(), "vm:run", args)
}

fn run_async(context: &Context, vm: &Vm, args: (Value, Value)) -> CallResult<Process> {
    start_command(context, vm.shared(), "vm:run_async", args)
}

/// Runs a command to its end. `call` is the name of the Lua call.
pub(super) fn run_command(
    context: &Context,
    vm: &SharedVm,
    call: &str,
    args: (Value, Value),
) -> CallResult<Table> {
    let command = command(call, args)?;
    let result = vm.borrow_mut().run(&command);
    run_result(context, &command.text(), &result?)
}

/// Starts a command that ends with the test. `call` is the name of the Lua call.
pub(super) fn start_command(
    context: &Context,
    vm: &SharedVm,
    call: &str,
    args: (Value, Value),
) -> CallResult<Process> {
    let command = command(call, args)?;
    if command.timeout.is_some() {
        let text = "`timeout` is not honoured here; pass it to `proc:wait(timeout)` instead";
        return Err(text.into());
    }
    let process = vm.borrow_mut().start(&command)?;
    let process = SharedProcess::new(process.into());
    context.add_process(vm, &process);
    Ok(Process::new(vm, process, command.text()))
}
