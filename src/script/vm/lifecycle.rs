//! A VM's life: boot, pause, reset, shutdown, close.

use super::handle::Vm;
use super::options::boot_options;
use crate::config::DEFAULT_PROFILE;
use crate::events::Event;
use crate::script::bind::{CallResult, Methods, Options};
use crate::script::context::Context;
use crate::vm::{BootOptions, VmError};

/// Adds the calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("boot", boot)?;
    methods.add("shutdown", shutdown)?;
    methods.add("reset", reset)?;
    methods.add("pause", pause)?;
    methods.add("resume", resume)?;
    methods.add("power_button", power_button)?;
    methods.add("close", close)
}

fn boot(context: &Context, vm: &Vm, options: Options) -> CallResult<Vm> {
    boot_vm(context, vm, boot_options(context, &options)?)?;
    Ok(vm.clone())
}

fn shutdown(context: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    shut_down_vm(context, vm);
    Ok(())
}

fn reset(context: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    let reset = vm.get().reset();
    log_notes(context, vm);
    reset?;
    note_boot(context, vm);
    Ok(())
}

fn pause(_: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    Ok(vm.get().pause()?)
}

fn resume(_: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    Ok(vm.get().resume()?)
}

fn power_button(_: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    Ok(vm.get().power_button()?)
}

fn close(context: &Context, vm: &Vm, (): ()) -> CallResult<()> {
    context.close_vm(vm.shared());
    Ok(())
}

/// Boots `vm`. Its notes go into the log, also when it fails.
pub(in crate::script) fn boot_vm(
    context: &Context,
    vm: &Vm,
    options: BootOptions,
) -> Result<(), VmError> {
    let booted = vm.get().boot(options);
    log_notes(context, vm);
    if let Err(error @ VmError::NoGuest { guest, .. }) = &booted
        && guest != DEFAULT_PROFILE
    {
        context.set_lack(error.to_string());
    }
    booted?;
    note_boot(context, vm);
    Ok(())
}

/// Notes that what the console shows from now on is not the boot's.
fn note_boot(context: &Context, vm: &Vm) {
    if let Some(watcher) = context.watcher() {
        watcher.booted(vm.get().name());
    }
}

/// Shuts `vm` down. Its notes go into the log.
pub(super) fn shut_down_vm(context: &Context, vm: &Vm) {
    vm.get().shutdown();
    log_notes(context, vm);
}

/// Moves the notes of a VM into the log.
pub(super) fn log_notes(context: &Context, vm: &Vm) {
    let notes = vm.get().take_notes();
    for text in notes {
        context.emit(Event::Log { text });
    }
}
