//! The disks that a machine boots with: attaching those that the boot brings, their slots, and the
//! locks on their images.

use std::path::PathBuf;

use super::record::check_image;
use crate::client::DataError;
use crate::config::{BootDisk, BootImage};
use crate::protocol::names::SECTOR;
use crate::vm::qemu::arguments::{DriveSpec, PORTS};
use crate::vm::{AttachOptions, Vm, VmError};

/// A disk that the machine gets.
pub(in crate::vm) struct Drive {
    pub(in crate::vm) id: String,
    file: PathBuf,
    read_only: bool,
    number: u32,
    sectors: u64,
    pub(in crate::vm) port: Option<u32>,
}

impl Drive {
    pub(in crate::vm) fn spec(&self) -> DriveSpec<'_> {
        DriveSpec {
            id: &self.id,
            file: &self.file,
            read_only: self.read_only,
            number: self.number,
            sectors: self.sectors,
            port: self.port,
        }
    }
}

impl Vm {
    /// Attaches the disks that are not there since an earlier boot.
    pub(in crate::vm) fn attach_boot_disks(&mut self, disks: &[BootDisk]) -> Result<(), VmError> {
        let own = self.profile.disks.clone();
        for (at, disk) in own.iter().chain(disks).enumerate() {
            let mut earlier = self.boot_disks.iter();
            let is_there = earlier.any(|(same, id)| same == disk && self.disk(id).is_some());
            if !is_there {
                let id = self.attach_boot_disk(disk, at)?;
                self.boot_disks.push((disk.clone(), id));
            }
        }
        Ok(())
    }

    /// Attaches the boot disk at this place of the list; returns its name.
    fn attach_boot_disk(&mut self, disk: &BootDisk, at: usize) -> Result<String, VmError> {
        let mut free = (at..).map(|n| format!("boot{n}"));
        let id = disk.id.clone();
        let id = id.or_else(|| free.find(|id| self.disk(id).is_none()));
        let (image, is_private) = match &disk.image {
            BootImage::Path(path) => (path.clone(), false),
            BootImage::Scratch(size) => (self.folder.scratch_image(*size)?, true),
            BootImage::Template(path) => (self.folder.copied_image(&check_image(path)?)?, true),
        };
        let options = AttachOptions {
            id,
            size: None,
            image: Some(image.clone()),
            served: disk.served,
        };
        let attached = self.attach_disk(options);
        if attached.is_err() && is_private {
            let _ = std::fs::remove_file(&image);
        }
        let record = attached?;
        let mut record = record.borrow_mut();
        if let Some(mounted) = record.mounted_mut() {
            mounted.is_private = is_private;
        }
        Ok(record.id.clone())
    }

    /// Has the mount lock the images that were left to others since the last shutdown.
    pub(in crate::vm) fn claim_images(&self) -> Result<(), VmError> {
        for disk in &self.disks {
            let disk = disk.borrow();
            let Some(mounted) = disk.mounted() else {
                continue;
            };
            if let Err(DataError::Host { cause, .. }) = mounted.control.open()
                && cause.raw_os_error() == Some(libc::EBUSY)
            {
                return Err(VmError::ImageTaken {
                    id: disk.id.clone(),
                    image: mounted.image.clone(),
                    vm: self.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Leaves the images to others, until a boot, or until somebody opens a disk.
    pub(in crate::vm) fn leave_images(&mut self) {
        let mut kept = Vec::new();
        for disk in &self.disks {
            let mut disk = disk.borrow_mut();
            let id = disk.id.clone();
            let Some(mounted) = disk.mounted_mut() else {
                continue;
            };
            mounted.data = None;
            if let Err(error) = mounted.control.unlock_image() {
                kept.push(format!("the image of disk `{id}` stays locked: {error}"));
            }
        }
        for text in kept {
            self.note(text);
        }
    }

    /// The disks with an image, in the order in which they were attached.
    pub(in crate::vm) fn drives(&self) -> Vec<Drive> {
        let drive = |disk: &crate::vm::DiskRecord| {
            let mounted = disk.mounted()?;
            Some(Drive {
                id: disk.id.clone(),
                file: disk.path()?,
                read_only: mounted.read_only,
                number: mounted.number,
                sectors: disk.size().unwrap_or(0) / SECTOR,
                port: mounted.port,
            })
        };
        let disks = self.disks.iter();
        disks.filter_map(|disk| drive(&disk.borrow())).collect()
    }

    /// Gives the disks their slots in the order in which they were attached: the guest names them in
    /// that of the slots.
    pub(in crate::vm) fn assign_ports(&self) {
        let mut ports = 0..PORTS;
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.port = ports.next();
            }
        }
    }
}
