//! Attaching disks to a VM and detaching them: in the mount, and in the guest if it runs.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::record::{Backing, Mounted, check_image};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::{BadId, SECTOR, valid_id};
use crate::storage::format_warning;
use crate::vm::qemu::arguments::{DriveSpec, MOST_DISKS, PORTS};
use crate::vm::{AttachOptions, DEFAULT_DISK_SIZE, DiskRecord, State, Vm, VmError};

/// How long a running guest may take for a disk while rules delay what it asks of one.
const PLUGGED: Duration = Duration::from_secs(30);

impl Vm {
    /// The disk called `id`.
    pub fn disk(&self, id: &str) -> Option<Rc<RefCell<DiskRecord>>> {
        let mut disks = self.disks.iter();
        disks.find(|disk| disk.borrow().id == id).cloned()
    }

    /// Attaches a disk: in the mount at once, in the guest at once if it runs.
    pub fn attach_disk(
        &mut self,
        options: AttachOptions,
    ) -> Result<Rc<RefCell<DiskRecord>>, VmError> {
        if self.state == State::Dead || self.server.is_none() {
            let wanted = "created, booted, paused or shutdown";
            return Err(self.wrong_state("vm:attach_disk", wanted));
        }
        let id = options
            .id
            .unwrap_or_else(|| format!("attached-{}", self.name));
        if !valid_id(&id) {
            return Err(BadId(id).into());
        }
        if self.disk(&id).is_some() {
            return Err(VmError::DuplicateDisk {
                id,
                vm: self.name.clone(),
            });
        }
        let with_image = self.disks.iter().filter(|disk| disk.borrow().has_image());
        if options.image.is_some() && with_image.count() >= MOST_DISKS {
            return Err(VmError::TooManyDisks {
                vm: self.name.clone(),
                most: MOST_DISKS,
            });
        }
        let backing = match options.image {
            Some(image) => {
                Backing::Mount(self.mount_disk(&id, &check_image(&image)?, options.served)?)
            }
            None => Backing::None(Box::default()),
        };
        let mut record = DiskRecord {
            id,
            size: options.size.unwrap_or(DEFAULT_DISK_SIZE),
            detached: false,
            backing,
        };
        if let Err(error) = self.plug(&mut record) {
            self.unmount_disk(&record.id);
            return Err(error);
        }
        let record = Rc::new(RefCell::new(record));
        self.disks.push(Rc::clone(&record));
        Ok(record)
    }

    fn mount_disk(
        &mut self,
        id: &str,
        image: &Path,
        served: DiskOptions,
    ) -> Result<Mounted, VmError> {
        let mount = self.mount()?;
        mount.attach(id, image, served)?;
        if let Some(warning) = format_warning(image) {
            self.note(format!("warning: {warning}"));
        }
        self.drives += 1;
        Ok(Mounted {
            control: mount.disk(id)?,
            image: image.to_owned(),
            is_private: false,
            data: None,
            number: self.drives,
            port: None,
            read_only: served.read_only,
            plugged: false,
        })
    }

    fn plug(&mut self, record: &mut DiskRecord) -> Result<(), VmError> {
        let free = self.free_port();
        let (State::Booted | State::Paused, Some(machine)) = (self.state, self.machine.as_mut())
        else {
            return Ok(());
        };
        let id = record.id.clone();
        let sectors = record.size()? / SECTOR;
        let Some(mounted) = record.mounted_mut() else {
            return Ok(());
        };
        mounted.port = Some(free.ok_or_else(|| VmError::Refused {
            command: "vm:attach_disk".into(),
            text: format!("a running guest takes {PORTS} disks, and has as many"),
        })?);
        let file = mounted.control.path();
        let drive = DriveSpec {
            id: &id,
            file: &file,
            read_only: mounted.read_only,
            number: mounted.number,
            sectors,
            port: mounted.port,
        };
        match self.state {
            // The guest finds it when it goes on.
            State::Paused => machine.insert(&drive)?,
            _ => drop(machine.plug(&drive, Instant::now() + PLUGGED)?),
        }
        mounted.plugged = true;
        Ok(())
    }

    /// What would keep an injected error of the disk from the guest, each with what to change.
    pub fn obstacles(&mut self, record: &Rc<RefCell<DiskRecord>>) -> Result<Vec<String>, VmError> {
        let record = record.borrow();
        let plugged = record.mounted().filter(|mounted| mounted.plugged);
        let number = plugged.map(|mounted| mounted.number);
        self.with_machine("disk:assert_visible", |machine| match number {
            Some(number) => Ok(machine.drive(&record.id, number)?.obstacles()),
            None => Ok(vec!["the guest does not have it".into()]),
        })
    }

    /// The lowest slot of the machine without a disk.
    fn free_port(&self) -> Option<u32> {
        let port = |disk: &Rc<RefCell<DiskRecord>>| disk.borrow().mounted()?.port;
        let taken: Vec<_> = self.disks.iter().filter_map(port).collect();
        (0..PORTS).find(|port| !taken.contains(port))
    }

    fn unmount_disk(&self, id: &str) {
        if let Some(server) = &self.server {
            let _ = server.mount.detach(id);
        }
    }

    /// Takes the disk out of the guest and out of the mount, as far as they let it go. The record
    /// is detached in any case.
    pub fn detach_disk(&mut self, record: &Rc<RefCell<DiskRecord>>) {
        let Some(at) = self.disks.iter().position(|disk| Rc::ptr_eq(disk, record)) else {
            return;
        };
        self.disks.remove(at);
        let id = record.borrow().id.clone();
        // A guest that waits for a held request would not let go of the disk.
        let _ = record.borrow_mut().clear();
        let drive = record
            .borrow()
            .mounted()
            .filter(|m| m.plugged)
            .map(|m| m.number);
        if let (Some(number), Some(machine)) = (drive, self.machine.as_mut()) {
            let _ = machine.unplug(&id, number);
        }
        close_record(record);
        if record.borrow().has_image() {
            self.unmount_disk(&id);
        }
        if let Some(mounted) = record
            .borrow()
            .mounted()
            .filter(|mounted| mounted.is_private)
        {
            let _ = std::fs::remove_file(&mounted.image);
        }
    }
}

/// Closes our own file on the disk and tells every handle that it is over.
pub(in crate::vm) fn close_record(record: &Rc<RefCell<DiskRecord>>) {
    let mut record = record.borrow_mut();
    if let Ok(size) = record.size() {
        record.size = size;
    }
    record.detached = true;
    if let Some(mounted) = record.mounted_mut() {
        mounted.data = None;
        mounted.plugged = false;
    }
}
