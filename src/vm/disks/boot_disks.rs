//! The disks that a boot brings: those of the profile, and those of the boot's options.

use crate::config::VmDisk;
use crate::vm::state::State;
use crate::vm::{Vm, VmError};

impl Vm {
    /// Attaches the disks of the profile, once, before any other disk: so they are the first that the guest finds,
    /// and rules can be armed on them before it boots. Nothing for a VM that is over.
    pub fn attach_own_disks(&mut self) -> Result<(), VmError> {
        if self.has_own_disks || self.state == State::Dead || self.server.is_none() {
            return Ok(());
        }
        let before = self.disks.len();
        let attached = self.attach_boot_disks(&[]);
        if attached.is_err() {
            self.detach_since(before);
        }
        attached
    }

    /// Attaches the disks of the profile and `disks`, as far as they are not there since an earlier boot.
    pub(in crate::vm) fn attach_boot_disks(&mut self, disks: &[VmDisk]) -> Result<(), VmError> {
        let own = self.profile.disks.clone();
        let mut earlier = self.boot_disks.clone();
        for (at, disk) in own.iter().chain(disks).enumerate() {
            let same = |(other, id): &(VmDisk, String)| other == disk && self.disk(id).is_some();
            // Each stands for one disk of the list: two of these may be alike.
            if let Some(place) = earlier.iter().position(same) {
                earlier.remove(place);
                continue;
            }
            let mut free = (at..).map(|n| format!("boot{n}"));
            let id = disk.id.clone();
            let id = id.or_else(|| free.find(|id| self.disk(id).is_none()));
            let record = self.attach(id, disk)?;
            let id = record.borrow().id().to_owned();
            self.boot_disks.push((disk.clone(), id));
        }
        self.has_own_disks = true;
        Ok(())
    }

    /// Detaches the disks that were attached since there were `before`.
    pub(in crate::vm) fn detach_since(&mut self, before: usize) {
        while let Some(disk) = self.disks.at(before) {
            self.detach_disk(&disk);
        }
    }
}
