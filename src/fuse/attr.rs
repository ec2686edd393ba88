//! The attributes of each file, as `stat` shows them.

use std::time::SystemTime;

use fuser::{FileAttr, FileType};

use super::inode::Inode;
use crate::disk::{Disk, ImageStat};
use crate::os::sys;
use crate::protocol::names::SECTOR;

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

    /// A folder or control file, whose text has `len` bytes.
    pub(super) fn plain(&self, inode: Inode, len: u64) -> FileAttr {
        let (kind, perm) = match inode {
            Inode::Root => (FileType::Directory, self.for_all(0o500)),
            Inode::Control(file) => (FileType::RegularFile, file.permissions()),
            Inode::Disk(_, file) => (FileType::RegularFile, file.permissions()),
            Inode::Ctl | Inode::DiskFolder(_) | Inode::Data(_) => (FileType::Directory, 0o500),
        };
        // No holes: cp would not read these.
        self.attr(inode, kind, perm, len, len.div_ceil(SECTOR))
    }

    /// A data file, with the host's size and blocks of its image.
    pub(super) fn data(&self, inode: Inode, disk: &Disk, stat: ImageStat) -> FileAttr {
        let perm = match disk.is_read_only() {
            true => 0o400,
            false => 0o600,
        };
        let (kind, perm) = (FileType::RegularFile, self.for_all(perm));
        self.attr(inode, kind, perm, stat.size, stat.blocks)
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
