//! A snapshot of a VM: all that makes the VM what it was. What belongs to it goes with it.

use std::rc::Rc;

use super::machine::Saved;
use super::past::Known;
use crate::client::{ClientError, DiskControl, MountClient};
use crate::protocol::{CheckpointCommand, LogLine};
use crate::vm::boot_plan::BootPlan;
use crate::vm::disks::list::SharedDisk;
use crate::vm::guest::console::Expecting;
use crate::vm::qemu::drive::Drive;

/// A VM as it was.
pub struct VmSnapshot {
    /// The number of the VM.
    pub(super) vm: u64,
    /// Its name.
    pub(super) vm_name: String,
    pub(super) machine: Saved,
    /// What its QEMU was started with.
    pub(super) plan: Rc<BootPlan>,
    pub(super) was_paused: bool,
    /// The disks that it had, in their order.
    pub(super) disks: Vec<SharedDisk>,
    /// Those of its machine.
    pub(super) drives: Vec<Drive>,
    pub(super) checkpoints: Checkpoints,
    pub(super) known: Known,
    pub(super) expecting: Expecting,
}

impl VmSnapshot {
    /// The name of its VM.
    pub fn vm(&self) -> &str {
        &self.vm_name
    }
}

/// Checkpoints of all disks of a mount, which go with this.
pub struct Checkpoints {
    name: String,
    disks: Vec<DiskControl>,
}

impl Checkpoints {
    /// Saves one of each disk in `mount`.
    pub fn save(mount: &MountClient, name: String) -> Result<Self, ClientError> {
        let disks = Vec::new();
        let mut saved = Self { name, disks };
        for disk in mount.all()? {
            let name = saved.name.clone();
            disk.checkpoint(&CheckpointCommand::Save { name, faults: true })?;
            saved.disks.push(disk);
        }
        Ok(saved)
    }

    /// Fails where a disk cannot be made what it was: while its writes are logged.
    pub(super) fn check(&self) -> Result<(), ClientError> {
        for disk in &self.disks {
            if disk.log()? != LogLine::Off {
                let id = disk.id();
                return Err(ClientError::Wrong(format!(
                    "the writes of disk `{id}` are logged, and a log cannot go back: end it first"
                )));
            }
        }
        Ok(())
    }

    /// Makes the disks what they were.
    pub fn restore(&self) -> Result<(), ClientError> {
        let name = self.name.clone();
        let restore = CheckpointCommand::Restore { name };
        self.disks
            .iter()
            .try_for_each(|disk| disk.checkpoint(&restore))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        let name = self.name.clone();
        let forget = CheckpointCommand::Drop { name };
        for disk in &self.disks {
            // It fails only where the disk is gone.
            let _ = disk.checkpoint(&forget);
        }
    }
}
