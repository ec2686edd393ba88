//! The attributes of each file, as `stat` shows them.

use std::time::SystemTime;

use fuser::{FileAttr, FileType};

use super::inode::Inode;
use crate::disk::{Disk, ImageStat};
use crate::os::sys;
use crate::protocol::names::SECTOR;

/// Who may use the data files, and how. The folders and the control files stay those of the user who mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Other users may, as far as the owner and the mode of each file let them.
    pub allow_other: bool,
    /// The owner of the data files; the user who mounts without it.
    pub uid: Option<u32>,
    /// Their group.
    pub gid: Option<u32>,
    /// Permissions that they lack of `rw-rw-rw-`, once others are let in.
    pub umask: u16,
    /// Programs may map them shared: the kernel then writes changed pages whenever it likes.
    pub mmap: bool,
}

impl Access {
    /// Whether it treats users in different ways.
    pub fn names_others(&self) -> bool {
        *self
            != Self {
                allow_other: self.allow_other,
                mmap: self.mmap,
                ..Self::default()
            }
    }

    /// The words of `-o` that give this.
    pub fn options(&self) -> Vec<String> {
        let words = [
            self.allow_other.then(|| "allow_other".to_owned()),
            self.uid.map(|uid| format!("uid={uid}")),
            self.gid.map(|gid| format!("gid={gid}")),
            (self.umask != 0).then(|| format!("umask={:03o}", self.umask)),
            self.mmap.then(|| "mmap".to_owned()),
        ];
        words.into_iter().flatten().collect()
    }
}

/// Attributes that all files of a mount share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    since: SystemTime,
    uid: u32,
    gid: u32,
    access: Access,
}

impl Attributes {
    pub(super) fn new(access: Access) -> Self {
        Self {
            since: SystemTime::now(),
            uid: sys::uid(),
            gid: sys::gid(),
            access,
        }
    }

    /// Whether programs may map data files shared.
    pub(super) fn allow_shared_mappings(&self) -> bool {
        self.access.mmap
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
        let perm = self.for_all(perm) & !self.access.umask;
        let attr = self.attr(inode, FileType::RegularFile, perm, stat.size, stat.blocks);
        FileAttr {
            uid: self.access.uid.unwrap_or(self.uid),
            gid: self.access.gid.unwrap_or(self.gid),
            ..attr
        }
    }

    /// Repeats the owner's permissions for the others, where they are let in.
    fn for_all(&self, owner: u16) -> u16 {
        if self.access.allow_other {
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
