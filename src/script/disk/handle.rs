//! A handle on a disk, and the calls that concern the handle itself.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use mlua::{UserData, UserDataMethods};

use super::error::DiskError;
use crate::client::{ClientError, DiskControl};
use crate::config::SIZE;
use crate::evidence::disk_name;
use crate::script::bind::{CallResult, Methods, bytes, found, look_up};
use crate::script::context::{Context, SharedVm};
use crate::vm::{DiskRecord, Vm};

pub(super) const CLASS: &str = "disk";

/// A disk that several handles share.
pub(in crate::script) type SharedDisk = Rc<RefCell<DiskRecord>>;

/// A handle on a disk. The state is with the disk: all handles see the same.
pub(in crate::script) struct Disk {
    vm: SharedVm,
    record: SharedDisk,
}

impl UserData for Disk {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

impl Disk {
    /// A handle on the disk of `record`, which is one of `vm`'s.
    pub(in crate::script) fn new(vm: &SharedVm, record: SharedDisk) -> Self {
        let vm = Rc::clone(vm);
        Self { vm, record }
    }

    /// The disk, for a call of its VM.
    pub(in crate::script) fn shared(&self) -> &SharedDisk {
        &self.record
    }

    /// Its VM.
    pub(in crate::script) fn vm(&self) -> &SharedVm {
        &self.vm
    }

    /// Its control files.
    pub(in crate::script) fn control(&self) -> CallResult<DiskControl> {
        Ok(self.ask(|control| Ok(control.clone()))?)
    }

    /// Its name, for the list of calls.
    pub(in crate::script) fn title(&self) -> Option<String> {
        let vm = self.vm.try_borrow().ok()?;
        let record = self.record.try_borrow().ok()?;
        Some(disk_name(Some(vm.name()), record.id()))
    }

    /// Whether nothing in the guest has it open or cached any more.
    pub(in crate::script) fn is_let_go(&self, _: &Context) -> CallResult<bool> {
        Ok(self.ask_vm(|vm, record| vm.has_let_go(record))?)
    }

    pub(super) fn record(&self) -> Ref<'_, DiskRecord> {
        self.record.borrow()
    }

    pub(super) fn record_mut(&self) -> RefMut<'_, DiskRecord> {
        self.record.borrow_mut()
    }

    /// Asks the VM about the disk.
    pub(super) fn ask_vm<T>(&self, ask: impl FnOnce(&mut Vm, &SharedDisk) -> T) -> T {
        ask(&mut self.vm.borrow_mut(), &self.record)
    }

    /// Asks the control files of the disk; a disk without an image has none.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(&DiskControl) -> Result<T, ClientError>,
    ) -> Result<T, DiskError> {
        let record = self.record();
        let missing = match record.is_detached() {
            true => DiskError::Detached,
            false => DiskError::NoImage,
        };
        Ok(ask(record.control().ok_or(missing)?)?)
    }
}

/// Adds the calls that concern the handle itself.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("id", id)?;
    methods.add("path", path)?;
    methods.add("device", device)?;
    methods.add("resize", resize)?;
    methods.add("detach", detach)?;
    methods.add("is_detached", is_detached)
}

fn id(_: &Context, disk: &Disk, (): ()) -> CallResult<String> {
    Ok(disk.record().id().to_owned())
}

fn path(_: &Context, disk: &Disk, (): ()) -> CallResult<String> {
    let path = disk.record().path().ok_or(DiskError::NoImage)?;
    Ok(path.to_string_lossy().into_owned())
}

/// Where the guest has it.
fn device(_: &Context, disk: &Disk, (): ()) -> CallResult<String> {
    let device = disk.record().device();
    Ok(device.ok_or(DiskError::NoImage)?)
}

/// Makes the image, and the disk of a running guest, larger or smaller.
fn resize(_: &Context, disk: &Disk, size: mlua::Value) -> CallResult<()> {
    let bytes = bytes(&size).ok_or_else(|| format!("expects {SIZE}, not {}", found(&size)))?;
    disk.ask_vm(|vm, record| vm.resize_disk(record, bytes))?;
    Ok(())
}

fn detach(_: &Context, disk: &Disk, (): ()) -> CallResult<()> {
    disk.ask_vm(|vm, record| vm.detach_disk(record));
    Ok(())
}

fn is_detached(_: &Context, disk: &Disk, (): ()) -> CallResult<bool> {
    Ok(disk.record().is_detached())
}
