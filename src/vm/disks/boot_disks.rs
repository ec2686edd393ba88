//! The disks that a boot brings: those of the profile, and those of the boot's options.

use crate::config::{BootDisk, BootImage};
use crate::vm::{AttachOptions, Vm, VmError};

use super::record::check_image;

impl Vm {
    /// Attaches the disks that are not there since an earlier boot.
    pub(in crate::vm) fn attach_boot_disks(&mut self, disks: &[BootDisk]) -> Result<(), VmError> {
        let own = self.profile.disks.clone();
        let mut earlier = self.boot_disks.clone();
        for (at, disk) in own.iter().chain(disks).enumerate() {
            let same = |(other, id): &(BootDisk, String)| other == disk && self.disk(id).is_some();
            // Each stands for one disk of the list: two of these may be alike.
            if let Some(place) = earlier.iter().position(same) {
                earlier.remove(place);
                continue;
            }
            let id = self.attach_boot_disk(disk, at)?;
            self.boot_disks.push((disk.clone(), id));
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
        Ok(record.id().to_owned())
    }
}
