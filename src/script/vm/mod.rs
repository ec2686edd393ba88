//! `provium:vm`, the VM, and what belongs to it: commands, files, the console, the clock.

mod clock;
mod command;
mod commands;
mod console;
mod disks;
mod files;
mod handle;
mod lifecycle;
mod options;
mod power;
mod process;
mod provium;
mod run_result;
mod snapshot;
mod worker;

pub(super) use handle::Vm;
pub(super) use lifecycle::boot_vm;
pub(super) use provium::{add_natives, create_vm};

use super::bind::Methods;
use super::context::Context;

/// Makes the methods of a VM, and of the objects that belong to it, known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, handle::CLASS)?;
    handle::add(&methods)?;
    lifecycle::add(&methods)?;
    power::add(&methods)?;
    snapshot::add(&methods)?;
    disks::add(&methods)?;
    files::add(&methods)?;
    commands::add(&methods)?;
    worker::add(&methods)?;
    console::add(&methods)?;
    clock::add(&methods)?;
    methods.add_lua("try_states", context.of_prelude("try_states")?)?;
    methods.register()?;
    process::register(context)?;
    snapshot::register(context)?;
    worker::register(context)?;
    console::register(context)?;
    clock::register(context)
}
