//! Attaching disks to a VM and detaching them: in the mount, and in the guest if it runs.

use std::time::{Duration, Instant};

use super::guest_errno::changed;
use super::list::SharedDisk;
use super::record::{Backing, DEFAULT_DISK_SIZE, DiskRecord, Mounted};
use super::source::SourceFile;
use crate::config::VmDisk;
use crate::fault::Rule;
use crate::protocol::Errno;
use crate::protocol::disk_options::{DiskOptions, Scratch};
use crate::protocol::names::{BadId, valid_id};
use crate::storage::format_warning;
use crate::vm::qemu::drive::Drive;
use crate::vm::qemu::ports::{MOST_DISKS, PORTS};
use crate::vm::state::{Expected, State};
use crate::vm::templates::other_format;
use crate::vm::{Vm, VmError};

/// How long a running guest may take for a disk while rules delay its requests.
const PLUGGED: Duration = Duration::from_secs(30);

/// Fails where a disk of `size` bytes has no whole number of its sectors.
fn fits_sectors(id: &str, size: u64, disk: &VmDisk) -> Result<(), VmError> {
    match disk.hardware.logical_block_size {
        Some(sector) if !size.is_multiple_of(u64::from(sector)) => Err(VmError::OddSize {
            id: id.to_owned(),
            size,
            sector,
        }),
        _ => Ok(()),
    }
}

impl Vm {
    /// The disk called `id`.
    pub fn disk(&self, id: &str) -> Option<SharedDisk> {
        self.disks.find(id)
    }

    /// Attaches a disk: in the mount at once, in the guest at once if it runs.
    pub fn attach_disk(&mut self, disk: &VmDisk) -> Result<SharedDisk, VmError> {
        self.attach_own_disks()?;
        self.attach(disk.id.clone(), disk)
    }

    /// Attaches `disk` as `id`.
    pub(super) fn attach(
        &mut self,
        id: Option<String>,
        disk: &VmDisk,
    ) -> Result<SharedDisk, VmError> {
        if self.state == State::Dead || self.server.is_none() {
            return Err(self.wrong_state(Expected::Attachable));
        }
        let id = self.checked_id(id)?;
        let backing = match &disk.source {
            Some(source) => {
                self.check_room()?;
                let file = self.provide(&id, source, disk.size)?;
                Backing::Mount(Box::new(self.mount_disk(&id, file, disk)?))
            }
            None => Backing::None(Box::default()),
        };
        let size = disk.size.unwrap_or(DEFAULT_DISK_SIZE);
        let recorded = self.replay_of.as_ref().and_then(|replay_of| replay_of(&id));
        let mut record = DiskRecord::new(id, size, backing).replaying(recorded);
        let is_running = matches!(self.state, State::Booted | State::Paused);
        if let Err(error) = self.disks.may_have_twins(&record, is_running) {
            self.unmount_disk(record.id());
            return Err(error);
        }
        let armed = self.arm(&mut record, &disk.faults);
        if let Err(error) = armed.and_then(|()| self.plug(&mut record)) {
            self.unmount_disk(record.id());
            return Err(error);
        }
        Ok(self.disks.add(record))
    }

    /// Arms the rules that a disk begins with. Warnings about them go into the log.
    fn arm(&mut self, record: &mut DiskRecord, rules: &[Rule]) -> Result<(), VmError> {
        for rule in rules {
            record.arm(rule)?;
        }
        let texts: Vec<_> = rules.iter().map(Rule::to_string).collect();
        let control = record.control().filter(|_| !texts.is_empty());
        let warnings = control.map(|control| control.warnings(&texts));
        for warning in warnings.transpose()?.into_iter().flatten() {
            self.note(format!("disk `{}`: {warning}", record.id()));
        }
        Ok(())
    }

    /// The name for a new disk, `attached-VM` unless one is given.
    fn checked_id(&self, given: Option<String>) -> Result<String, VmError> {
        let id = given.unwrap_or_else(|| format!("attached-{}", self.name));
        if !valid_id(&id) {
            return Err(BadId(id).into());
        }
        if self.disk(&id).is_some() {
            let vm = self.name.clone();
            return Err(VmError::DuplicateDisk { id, vm });
        }
        Ok(id)
    }

    fn check_room(&self) -> Result<(), VmError> {
        if self.disks.with_image() < MOST_DISKS {
            return Ok(());
        }
        Err(VmError::TooManyDisks {
            vm: self.name.clone(),
            most: MOST_DISKS,
        })
    }

    fn mount_disk(
        &mut self,
        id: &str,
        file: SourceFile,
        disk: &VmDisk,
    ) -> Result<Mounted, VmError> {
        let served = disk.served;
        let mount = self.mount()?;
        let image = file.path.clone();
        let scratch = file.scratch;
        mount.attach(id, &image, DiskOptions { scratch, ..served })?;
        if let Some(warning) = format_warning(&image) {
            let instead = match other_format(&image) {
                Some(_) => "; `image` in place of `path` gives the VM the disk in it",
                None => "",
            };
            self.note(format!("warning: {warning}{instead}"));
        }
        let control = mount.disk(id)?;
        if let Err(error) = fits_sectors(id, control.size()?, disk) {
            let _ = mount.detach(id);
            return Err(error);
        }
        if let Some(tell) = &self.on_new_disk {
            tell(&control);
        }
        let drive = Drive {
            id: id.to_owned(),
            file: control.path(),
            read_only: served.read_only,
            number: self.disks.new_number(),
            sectors: 0,
            port: None,
            hardware: disk.hardware.clone(),
            shares: served.share,
            twins: 0,
            path: None,
        };
        let mut mounted = Mounted::new(control, drive, image, file.served());
        mounted.is_scratch = scratch != Scratch::No;
        Ok(mounted)
    }

    fn plug(&mut self, record: &mut DiskRecord) -> Result<(), VmError> {
        let free = self.disks.free_port();
        let (State::Booted | State::Paused, Some(machine)) = (self.state, self.machine.as_mut())
        else {
            return Ok(());
        };
        let Some(drive) = record.drive()? else {
            return Ok(());
        };
        let port = Some(free.ok_or(VmError::NoFreePort(PORTS))?);
        let twins = self.disks.twins(&drive)?;
        let drive = Drive {
            port,
            twins,
            ..drive
        };
        match self.state {
            // The guest finds it when it goes on.
            State::Paused => machine.insert(&drive)?,
            _ => drop(machine.plug(&drive, Instant::now() + PLUGGED)?),
        }
        if let Some(mounted) = record.mounted_mut() {
            mounted.drive.port = port;
            mounted.plugged = true;
        }
        Ok(())
    }

    /// The settings that keep an injected error of the disk from the guest, each with the change to make. With `errno`,
    /// also that its bus makes another error of this one.
    pub fn obstacles(
        &mut self,
        record: &SharedDisk,
        errno: Option<Errno>,
    ) -> Result<Vec<String>, VmError> {
        // A guest that is found to be over changes the record: it must not be borrowed meanwhile.
        let drive = record.borrow().plugged_drive().cloned();
        self.with_machine(|machine| match &drive {
            Some(drive) => {
                let mut obstacles = machine.error_handling(drive)?.obstacles();
                obstacles.extend(errno.and_then(|errno| changed(drive.hardware.bus, errno)));
                Ok(obstacles)
            }
            None => Ok(vec!["the guest does not have it".into()]),
        })
    }

    fn unmount_disk(&self, id: &str) {
        if let Some(server) = &self.server {
            let _ = server.mount.detach(id);
        }
    }

    /// Removes the disk from the guest and from the mount, as far as they let it go. The record
    /// is detached in any case.
    pub fn detach_disk(&mut self, record: &SharedDisk) {
        if !self.disks.remove(record) {
            return;
        }
        let mut record = record.borrow_mut();
        // Its states can be walked afterwards.
        let _ = record.end_log();
        // A guest that waits for a held request would not let go of the disk.
        let _ = record.clear();
        if let (Some(drive), Some(machine)) = (record.plugged_drive(), self.machine.as_mut()) {
            let _ = machine.unplug(drive);
        }
        self.unmount(&mut record);
    }

    /// Takes a disk that the guest has no more out of the list and out of the mount.
    pub(super) fn let_go_of(&mut self, record: &SharedDisk) {
        if self.disks.remove(record) {
            let mut record = record.borrow_mut();
            let _ = record.end_log();
            self.unmount(&mut record);
        }
    }

    fn unmount(&self, record: &mut DiskRecord) {
        record.close();
        let Some(mounted) = record.mounted() else {
            return;
        };
        self.unmount_disk(record.id());
        if mounted.is_private {
            let _ = std::fs::remove_file(&mounted.image);
        }
    }
}
