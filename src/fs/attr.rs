//! What `stat` says of each file.

use std::time::SystemTime;

use fuser::{FileAttr, FileType};

use super::inode::Inode;
use crate::disk::Disk;
use crate::fault::Errno;
use crate::sys;

/// Attributes that all files of a mount share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    since: SystemTime,
    uid: u32,
    gid: u32,
    /// Other users may use the data files. The control files stay the owner's.
    allow_other: bool,
}

impl Attributes {
    pub(super) fn new(allow_other: bool) -> Self {
        Self {
            since: SystemTime::now(),
            uid: sys::uid(),
            gid: sys::gid(),
            allow_other,
        }
    }

    /// A folder or control file. Like those of /proc, control files have the size 0.
    pub(super) fn plain(&self, inode: Inode) -> FileAttr {
        let (kind, perm) = match inode {
            Inode::Root => (FileType::Directory, self.for_all(0o500)),
            Inode::Control(file) => (FileType::RegularFile, file.permissions()),
            Inode::Disk(_, file) => (FileType::RegularFile, file.permissions()),
            Inode::Ctl | Inode::DiskFolder(_) | Inode::Data(_) => (FileType::Directory, 0o500),
        };
        self.attr(inode, kind, perm, 0, 0)
    }

    /// A data file, with the live size of its image.
    pub(super) fn data(&self, inode: Inode, disk: &Disk) -> Result<FileAttr, Errno> {
        let image = disk.image();
        let size = disk.size().map_err(|error| Errno::of(&error))?;
        let blocks = image.blocks().map_err(|error| Errno::of(&error))?;
        let perm = if image.read_only() { 0o400 } else { 0o600 };
        let perm = self.for_all(perm);
        Ok(self.attr(inode, FileType::RegularFile, perm, size, blocks))
    }

    /// Repeats the owner's permissions for the others, where they are let in.
    fn for_all(&self, owner: u16) -> u16 {
        if self.allow_other {
            owner | owner >> 3 | owner >> 6
        } else {
            owner
        }
    }

    fn attr(&self, inode: Inode, kind: FileType, perm: u16, size: u64, blocks: u64) -> FileAttr {
        FileAttr {
            ino: inode.number(),
            size,
            blocks,
            atime: self.since,
            mtime: self.since,
            ctime: self.since,
            crtime: self.since,
            kind,
            perm,
            nlink: if inode.is_folder() { 2 } else { 1 },
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}
