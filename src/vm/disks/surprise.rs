//! Pulling a disk out of a guest that has not been asked.
//!
//! QEMU removes a SCSI disk and a USB stick at once. It has no such removal for a device on PCI: the guest's kernel is told,
//! and removes the device. So the disk loses its power first: whatever the guest still asks of it fails, as it does after a real
//! removal, and what the disk has not written is gone.

use super::list::SharedDisk;
use crate::config::DiskBus;
use crate::protocol::PowerCut;
use crate::protocol::{PowerCommand, PowerState};
use crate::vm::machine::Machine;
use crate::vm::qemu::drive::Drive;
use crate::vm::{Vm, VmError};

impl Vm {
    /// Pulls the disk `id` out of the guest, which is not asked, and detaches it.
    pub fn unplug_disk(&mut self, id: &str) -> Result<(), VmError> {
        let missing = || VmError::NoDisk {
            id: id.to_owned(),
            vm: self.name.clone(),
        };
        let record = self.disk(id).ok_or_else(missing)?;
        let drive = self.plugged_now(&record)?;
        if let Some(control) = record.borrow().control()
            && control.power()? == PowerState::On
        {
            control.switch_power(&PowerCommand::Cut(PowerCut::default()))?;
        }
        let pulled = self.with_machine(|machine| machine.pull(&drive));
        self.let_go_of(&record);
        pulled
    }

    /// The disk as the running guest has it.
    fn plugged_now(&mut self, record: &SharedDisk) -> Result<Drive, VmError> {
        self.with_machine(|_| Ok(()))?;
        let record = record.borrow();
        let id = record.id().to_owned();
        let drive = record.plugged_drive().cloned();
        let drive = drive.ok_or_else(|| VmError::NotPlugged { id: id.clone() })?;
        if !drive.hot_plugs() && (drive.port.is_none() || drive.path.is_some()) {
            return Err(VmError::BusWithoutHotPlug {
                id,
                bus: drive.bus_name(),
            });
        }
        Ok(drive)
    }
}

impl Machine {
    fn pull(&mut self, drive: &Drive) -> Result<(), VmError> {
        if matches!(drive.hardware.bus, DiskBus::VirtioScsi | DiskBus::Usb) {
            self.remove_device(drive, &drive.device_id())?;
        }
        self.unplug(drive)
    }
}
