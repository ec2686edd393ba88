//! Attaching disks to a VM, and finding them again.

use std::sync::Once;

use super::handle::Vm;
use super::lifecycle::log_notes;
use super::options::disk_options;
use crate::os::sys;
use crate::script::bind::{CallResult, Methods, Options};
use crate::script::context::Context;
use crate::script::disk::Disk;

/// Bytes of heap that sector calls use without waiting for page faults. A read of 8 MiB takes a
/// buffer and a Lua string, beside those that the collector has not freed yet.
const DISK_MEMORY: usize = 48 << 20;

/// Adds the calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("attach_disk", attach_disk)?;
    methods.add("unplug", unplug)?;
    methods.add("disk", disk)
}

fn attach_disk(context: &Context, vm: &Vm, options: Options) -> CallResult<Disk> {
    static WARM_UP: Once = Once::new();
    WARM_UP.call_once(|| sys::warm_heap(DISK_MEMORY));
    let options = disk_options(context, &options)?;
    let attached = vm.get().attach_disk(&options);
    log_notes(context, vm);
    Ok(Disk::new(vm.shared(), attached?))
}

/// Pulls a disk out of the guest, which is not asked.
fn unplug(context: &Context, vm: &Vm, id: String) -> CallResult<()> {
    let unplugged = vm.get().unplug_disk(&id);
    log_notes(context, vm);
    Ok(unplugged?)
}

/// The disks of the profile are there before the guest boots.
fn disk(context: &Context, vm: &Vm, id: String) -> CallResult<Disk> {
    let attached = vm.get().attach_own_disks();
    log_notes(context, vm);
    attached?;
    let record = vm.get().disk(&id);
    let record = record.ok_or_else(|| {
        let name = vm.get().name().to_owned();
        format!("no disk `{id}` attached to vm `{name}`")
    })?;
    Ok(Disk::new(vm.shared(), record))
}
