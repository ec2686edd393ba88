//! Where the parts of a file system lie on its disk: superblocks, journal, inodes and files of ext2, ext3, ext4 and
//! xfs, as sectors of the disk. Files are found by the tools of the file systems (e2fsprogs, xfsprogs).

mod error;
mod ext;
mod image;
mod part;
mod partition;
mod ranges;
mod tool;
mod xfs;
mod xfs_copy;
mod xfs_inodes;
mod xfs_superblock;

pub use error::LocateError;
pub use part::{BadPart, Part};
pub use ranges::show;

use std::path::Path;

use crate::fault::Sectors;
use image::Image;

/// Where in an image the file system begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this byte.
    Byte(u64),
    /// Where this partition begins, counted from 1.
    Partition(u32),
}

/// A part of a file system that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which file system it is: `ext4`, say.
    pub file_system: &'static str,
    /// The byte of the image where the file system begins.
    pub begin: u64,
    /// Where the part lies, in sectors of the image: in ascending order, with gaps between. At least one.
    pub sectors: Vec<Sectors>,
}

/// Finds `part` of the file system in the image at `path`. What a mounted file system has not written yet is not known.
pub fn find(path: &Path, begin: Begin, part: &Part) -> Result<Found, LocateError> {
    let image = Image::open(path)?;
    let begin = match begin {
        Begin::Byte(byte) => byte,
        Begin::Partition(number) => partition::begin(&image, number)?,
    };
    let (file_system, found) = if let Some(ext) = ext::Ext::in_image(&image, begin)? {
        (ext.name(), ext.find(part)?)
    } else if let Some(xfs) = xfs::Xfs::in_image(&image, begin)? {
        ("xfs", xfs.find(part)?)
    } else {
        return Err(unknown(&image, begin)?);
    };
    let first = begin / crate::protocol::names::SECTOR;
    let sectors = ranges::merged(found, first);
    if sectors.is_empty() {
        return Err(LocateError::Nothing {
            part: part.clone(),
            image: path.to_owned(),
        });
    }
    Ok(Found {
        file_system,
        begin,
        sectors,
    })
}

/// What is there in the place of a file system that we know.
fn unknown(image: &Image, begin: u64) -> Result<LocateError, LocateError> {
    let holds = |at: u64, magic: &[u8]| -> Result<bool, LocateError> {
        Ok(image.read_up_to(begin + at, magic.len())? == magic)
    };
    let hint = if holds(0, b"QFI\xfb")? {
        "; it is a qcow2 image: make it raw with `qemu-img convert -O raw`".into()
    } else if holds(0x10040, b"_BHRfS_M")? {
        "; it has btrfs, whose files have addresses of its own".into()
    } else if begin == 0 {
        partition::hint(image)?
    } else {
        String::new()
    };
    Ok(LocateError::Unknown {
        image: image.path().to_owned(),
        begin,
        hint,
    })
}
