//! The disks of a VM, in the order in which they were attached: their slots, and the locks on their images.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use super::nvme_paths::{has_room, mark_paths};
use super::record::{DiskRecord, Mounted};
use crate::client::{ClientError, DataError};
use crate::config::DiskBus;
use crate::protocol::DiskGauge;
use crate::protocol::names::SECTOR;
use crate::vm::VmError;
use crate::vm::qemu::drive::Drive;
use crate::vm::qemu::nvme_paths::MOST_PATHS;
use crate::vm::qemu::ports::PORTS;

/// A disk that several handles share.
pub(in crate::vm) type SharedDisk = Rc<RefCell<DiskRecord>>;

/// The disks of a VM.
#[derive(Debug, Default)]
pub(in crate::vm) struct Disks {
    all: Vec<SharedDisk>,
    /// The number of the newest drive.
    last_number: u32,
}

fn twins_among(drives: &[Drive], drive: &Drive) -> usize {
    let link = drive.link();
    drives.iter().filter(|other| other.link() == link).count()
}

/// The drives, which know of each other.
fn with_twins(mut drives: Vec<Drive>) -> Vec<Drive> {
    for at in 0..drives.len() {
        drives[at].twins = twins_among(&drives[..at], &drives[at]);
    }
    mark_paths(&mut drives);
    drives
}

impl Disks {
    /// The disk called `id`.
    pub(in crate::vm) fn find(&self, id: &str) -> Option<SharedDisk> {
        let mut disks = self.all.iter();
        disks.find(|disk| disk.borrow().id() == id).cloned()
    }

    pub(in crate::vm) fn len(&self) -> usize {
        self.all.len()
    }

    /// The disk at this place of the list.
    pub(in crate::vm) fn at(&self, place: usize) -> Option<SharedDisk> {
        self.all.get(place).cloned()
    }

    /// All of them.
    pub(in crate::vm) fn all(&self) -> Vec<SharedDisk> {
        self.all.clone()
    }

    /// What the machine has: the drives in the order of their numbers.
    pub(in crate::vm) fn plugged(&self) -> Vec<Drive> {
        let drive = |disk: &SharedDisk| disk.borrow().plugged_drive().cloned();
        let mut drives: Vec<_> = self.all.iter().filter_map(drive).collect();
        drives.sort_by_key(|drive| drive.number);
        drives
    }

    /// Notes that the machine has `drives` and no others.
    pub(in crate::vm) fn set_plugged_drives(&self, drives: &[Drive]) {
        self.set_plugged(false);
        for disk in &self.all {
            let mut disk = disk.borrow_mut();
            let drive = drives.iter().find(|drive| drive.id == disk.id());
            if let (Some(drive), Some(mounted)) = (drive, disk.mounted_mut()) {
                mounted.drive.clone_from(drive);
                mounted.plugged = true;
            }
        }
    }

    /// `drives` with their sizes now.
    pub(in crate::vm) fn sized(&self, drives: &[Drive]) -> Result<Vec<Drive>, ClientError> {
        let sized = |drive: &Drive| {
            let disk = self.find(&drive.id);
            let size = disk.map_or(Ok(0), |disk| disk.borrow().size())?;
            let sectors = size / SECTOR;
            Ok(Drive {
                sectors,
                ..drive.clone()
            })
        };
        drives.iter().map(sized).collect()
    }

    pub(in crate::vm) fn add(&mut self, record: DiskRecord) -> SharedDisk {
        let disk = Rc::new(RefCell::new(record));
        self.all.push(Rc::clone(&disk));
        disk
    }

    /// Removes `disk`; returns false when it is not in the list.
    pub(in crate::vm) fn remove(&mut self, disk: &SharedDisk) -> bool {
        let place = self.all.iter().position(|other| Rc::ptr_eq(other, disk));
        place.map(|place| self.all.remove(place)).is_some()
    }

    /// Closes all disks, and removes them.
    pub(in crate::vm) fn close(&mut self) {
        for disk in self.all.drain(..) {
            disk.borrow_mut().close();
        }
    }

    /// How many disks have an image.
    pub(in crate::vm) fn with_image(&self) -> usize {
        let disks = self.all.iter();
        disks.filter(|disk| disk.borrow().has_image()).count()
    }

    /// What the machine gets: the disks with an image.
    pub(in crate::vm) fn drives(&self) -> Result<Vec<Drive>, ClientError> {
        let drives = self.all.iter().map(|disk| disk.borrow().drive());
        let drives = drives
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(with_twins(drives))
    }

    /// How many disks with an image have the same name in the guest as `drive`, which is not in the list.
    pub(in crate::vm) fn twins(&self, drive: &Drive) -> Result<usize, ClientError> {
        Ok(twins_among(&self.drives()?, drive))
    }

    /// Fails where the kernel would reject the disk because another one has the same serial number: unless it is a path of
    /// the same disk, and there from the boot on.
    pub(in crate::vm) fn may_have_twins(
        &self,
        disk: &DiskRecord,
        is_running: bool,
    ) -> Result<(), VmError> {
        let Some(mounted) = disk.mounted() else {
            return Ok(());
        };
        if mounted.drive.hardware.bus != DiskBus::Nvme {
            return Ok(());
        }
        let is_path = !is_running && mounted.drive.shares && self.have_image_of(mounted);
        let drives = self.drives()?;
        let (id, twins) = (disk.id().to_owned(), twins_among(&drives, &mounted.drive));
        match (is_path, twins) {
            (_, 0) => Ok(()),
            (false, _) => {
                let serial = mounted.drive.serial();
                Err(VmError::NvmeTwins { id, serial })
            }
            (true, twins) if has_room(&drives, twins) => Ok(()),
            (true, _) => Err(VmError::TooManyPaths {
                id,
                most: MOST_PATHS,
            }),
        }
    }

    /// The name of the disk with this block node.
    pub(in crate::vm) fn with_node(&self, node: &str) -> Option<String> {
        let drives = self.mounted().into_iter();
        let mut found = drives.filter(|drive| drive.node() == node);
        found.next().map(|drive| drive.id)
    }

    /// Whether all disks with the same name in the guest share the image of this one.
    fn have_image_of(&self, mounted: &Mounted) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let image = real(&mounted.image);
        self.all.iter().all(|disk| {
            let disk = disk.borrow();
            disk.mounted().is_none_or(|other| {
                let is_twin = other.drive.link() == mounted.drive.link();
                !is_twin || other.drive.shares && real(&other.image) == image
            })
        })
    }

    /// A number for the block node of a new drive.
    pub(in crate::vm) fn new_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// The lowest slot of the machine without a disk.
    pub(in crate::vm) fn free_port(&self) -> Option<u32> {
        let port = |disk: &SharedDisk| disk.borrow().mounted()?.drive.port;
        let taken: Vec<_> = self.all.iter().filter_map(port).collect();
        (0..PORTS).find(|port| !taken.contains(port))
    }

    /// A disk that the machine has to be started with, if there is one.
    pub(in crate::vm) fn not_hot_plugged(&self) -> Option<Drive> {
        self.mounted().into_iter().find(|drive| !drive.hot_plugs())
    }

    /// The drives of the disks with an image, without their sizes.
    fn mounted(&self) -> Vec<Drive> {
        let drives = self
            .all
            .iter()
            .filter_map(|disk| Some(disk.borrow().mounted()?.drive.clone()));
        with_twins(drives.collect())
    }

    /// Gives the disks their slots in the order in which they were attached: the guest names them in
    /// the order of the slots.
    pub(in crate::vm) fn assign_ports(&self) {
        let mut ports = 0..PORTS;
        let mut drives = self.mounted().into_iter();
        for disk in &self.all {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.drive.path = drives.next().and_then(|drive| drive.path);
                let hot_plugs = mounted.drive.hardware.bus.hot_plugs();
                mounted.drive.port = hot_plugs.then(|| ports.next()).flatten();
            }
        }
    }

    /// Notes whether the machine has the disks.
    pub(in crate::vm) fn set_plugged(&self, plugged: bool) {
        for disk in &self.all {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.plugged = plugged;
            }
        }
    }

    /// Has the mount lock the images that were left to others since the last shutdown of `vm`.
    pub(in crate::vm) fn claim_images(&self, vm: &str) -> Result<(), VmError> {
        for disk in &self.all {
            let disk = disk.borrow();
            let Some(mounted) = disk.mounted() else {
                continue;
            };
            if let Err(DataError::Host { cause, .. }) = mounted.control.open()
                && cause.raw_os_error() == Some(libc::EBUSY)
            {
                return Err(VmError::ImageTaken {
                    id: disk.id().to_owned(),
                    image: mounted.image.clone(),
                    vm: vm.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Leaves the images to others, until a boot, or until somebody opens a disk. An image that lacks what is pending
    /// is for nobody else. Returns a sentence for each image that stays locked.
    pub(in crate::vm) fn leave_images(&self) -> Vec<String> {
        let unlock = |disk: &SharedDisk| {
            let mut disk = disk.borrow_mut();
            let id = disk.id().to_owned();
            let mounted = disk.mounted_mut()?;
            mounted.data = None;
            let stats = mounted.control.stats().unwrap_or_default();
            let pending = stats.gauge(DiskGauge::PendingRequests);
            if pending > 0 {
                let why = format!("it lacks what is pending, {pending} requests");
                return Some(format!("the image of disk `{id}` stays locked: {why}"));
            }
            if stats.gauge(DiskGauge::Checkpoints) > 0 && !mounted.is_scratch {
                let why = "it lacks what the disk holds since its checkpoints were saved";
                return Some(format!("the image of disk `{id}` stays locked: {why}"));
            }
            let error = mounted.control.unlock_image().err()?;
            Some(format!("the image of disk `{id}` stays locked: {error}"))
        };
        self.all.iter().filter_map(unlock).collect()
    }
}
