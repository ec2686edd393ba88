//! The write log of a disk, and the states that it may have been left in.

use std::path::PathBuf;

use super::handle::Disk;
use crate::script::bind::{CallError, CallResult, Methods, Options};
use crate::script::context::Context;
use crate::script::host_path::host_path;
use crate::script::states::{States, open};

/// Adds the calls.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("record", record)?;
    methods.add("record_stop", record_stop)?;
    methods.add("states", states)
}

/// Begins a log, and returns its path.
fn record(context: &Context, disk: &Disk, path: Option<String>) -> CallResult<String> {
    disk.ask(|_| Ok(()))?;
    let path = path.map(|path| host_path(context, path));
    let path = disk.ask_vm(|vm, record| vm.start_log(record, path.as_deref()))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Ends the log, and returns its path.
fn record_stop(_: &Context, disk: &Disk, (): ()) -> CallResult<String> {
    Ok(disk.end_log()?.to_string_lossy().into_owned())
}

fn states(context: &Context, disk: &Disk, options: Options) -> CallResult<States> {
    open(context, &disk.end_log()?, &options)
}

impl Disk {
    /// Ends the log of the disk if one is being written. Returns the path of the latest one.
    pub(in crate::script) fn end_log(&self) -> CallResult<PathBuf> {
        let latest = self.record_mut().end_log()?;
        let missing =
            || CallError::from("there is no log of this disk: begin one with disk:record()");
        latest.ok_or_else(missing)
    }
}
