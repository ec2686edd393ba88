//! The checkpoints of a disk.

use super::handle::Disk;
use crate::client::DiskControl;
use crate::protocol::CheckpointCommand;
use crate::script::bind::{CallResult, Methods, Options};
use crate::script::context::Context;

/// Adds the calls.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("save_checkpoint", save)?;
    methods.add("restore_checkpoint", restore)?;
    methods.add("drop_checkpoint", drop_one)?;
    methods.add("checkpoints", list)
}

fn save(_: &Context, disk: &Disk, (name, options): (String, Options)) -> CallResult<()> {
    options.only(&["faults"])?;
    let faults = options.flag("faults")?;
    carry_out(disk, &CheckpointCommand::Save { name, faults })
}

fn restore(_: &Context, disk: &Disk, name: String) -> CallResult<()> {
    carry_out(disk, &CheckpointCommand::Restore { name })
}

fn drop_one(_: &Context, disk: &Disk, name: String) -> CallResult<()> {
    carry_out(disk, &CheckpointCommand::Drop { name })
}

fn carry_out(disk: &Disk, command: &CheckpointCommand) -> CallResult<()> {
    Ok(disk.ask(|control| control.checkpoint(command))?)
}

/// The names, oldest first.
fn list(_: &Context, disk: &Disk, (): ()) -> CallResult<Vec<String>> {
    Ok(disk.ask(DiskControl::checkpoints)?)
}
