//! The files of a mount by inode: names, attributes, the text of the control files.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::{Errno, FileAttr, INodeNo};

use super::attr::Attributes;
use super::cache::PageCache;
use super::handles::Handles;
use super::inode::Inode;
use super::loops::Loops;
use super::reply::kernel;
use crate::control::{Control, ControlFile, DiskFile};
use crate::disk::Disks;
use crate::fault;
use crate::names::CTL;

/// What the loop threads and the pool share.
pub(super) struct Tree {
    pub(super) disks: Arc<Disks>,
    pub(super) control: Control,
    pub(super) handles: Handles,
    pub(super) attributes: Attributes,
    pub(super) loops: Arc<Loops>,
    pub(super) cache: Arc<PageCache>,
}

impl Tree {
    /// The file called `name` in a folder.
    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> Option<Inode> {
        let name = name.to_str()?;
        match Inode::of(parent)? {
            Inode::Root if name == CTL => Some(Inode::Ctl),
            Inode::Root => Some(Inode::Data(self.disks.find(name)?.0)),
            Inode::Ctl => match ControlFile::ALL.iter().find(|file| file.name() == name) {
                Some(file) => Some(Inode::Control(*file)),
                None => Some(Inode::DiskFolder(self.disks.find(name)?.0)),
            },
            Inode::DiskFolder(disk) => {
                let file = DiskFile::ALL.iter().find(|file| file.name() == name)?;
                Some(Inode::Disk(disk, *file))
            }
            _ => None,
        }
    }

    /// What `stat` says of it, now.
    pub(super) fn attr(&self, inode: Inode) -> Result<FileAttr, Errno> {
        match inode {
            Inode::Data(disk) => {
                let disk = self.disks.at(disk).ok_or(Errno::ENOENT)?;
                self.attributes.data(inode, &disk).map_err(kernel)
            }
            Inode::DiskFolder(disk) | Inode::Disk(disk, _) => {
                self.disks.at(disk).ok_or(Errno::ENOENT)?;
                Ok(self.attributes.plain(inode))
            }
            _ => Ok(self.attributes.plain(inode)),
        }
    }

    /// The files in a folder.
    pub(super) fn entries(&self, folder: Inode) -> Vec<(Inode, String)> {
        let disks = self.disks.all().into_iter();
        match folder {
            Inode::Root => {
                let data = disks.map(|(at, disk)| (Inode::Data(at), disk.id().to_owned()));
                data.chain([(Inode::Ctl, CTL.to_owned())]).collect()
            }
            Inode::Ctl => {
                let files = ControlFile::ALL.map(|file| (Inode::Control(file), file.name().into()));
                let folders = disks.map(|(at, disk)| (Inode::DiskFolder(at), disk.id().to_owned()));
                files.into_iter().chain(folders).collect()
            }
            Inode::DiskFolder(disk) => DiskFile::ALL
                .map(|file| (Inode::Disk(disk, file), file.name().into()))
                .into(),
            _ => Vec::new(),
        }
    }

    /// What a control file reads as, now.
    pub(super) fn text(&self, inode: Inode) -> Result<String, fault::Errno> {
        match inode {
            Inode::Control(file) => self.control.read(file),
            Inode::Disk(disk, file) => {
                let disk = self.disks.at(disk).ok_or(fault::Errno(libc::ENODEV))?;
                self.control.read_disk(&disk, file)
            }
            _ => Err(fault::Errno(libc::EISDIR)),
        }
    }

    /// Carries out a write through `handle`; the first one after a `>` replaces.
    pub(super) fn write_control(
        &self,
        inode: Inode,
        handle: u64,
        data: &[u8],
    ) -> Result<(), fault::Errno> {
        let replace = self.handles.begin_write(handle);
        match inode {
            Inode::Control(file) => self.control.write(file, data),
            Inode::Disk(disk, file) => {
                let disk = self.disks.at(disk).ok_or(fault::Errno(libc::ENODEV))?;
                self.control.write_disk(&disk, file, data, replace)
            }
            _ => Err(fault::Errno(libc::EISDIR)),
        }?;
        self.handles.replaced(handle);
        self.forget_pages(inode);
        Ok(())
    }

    /// Once a write to `inode` may have changed rules: what the kernel keeps of the data was read under
    /// others.
    fn forget_pages(&self, inode: Inode) {
        match inode {
            Inode::Disk(disk, DiskFile::Faults | DiskFile::Rules) => self.cache.renew(&[disk]),
            Inode::Control(ControlFile::Clear) => {
                let disks = self.disks.all().into_iter();
                self.cache
                    .renew(&disks.map(|(at, _)| at).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    /// What a bare `> file` and `truncate -s 0 file` ask for: an empty write that replaces.
    pub(super) fn empty(&self, inode: Inode) -> Result<(), fault::Errno> {
        match inode {
            Inode::Control(ControlFile::Clear) => self.control.write(ControlFile::Clear, b""),
            Inode::Disk(disk, file @ DiskFile::Faults) => {
                let disk = self.disks.at(disk).ok_or(fault::Errno(libc::ENODEV))?;
                self.control.write_disk(&disk, file, b"", true)
            }
            // Nothing to empty, as in /proc.
            _ => Ok(()),
        }?;
        self.forget_pages(inode);
        Ok(())
    }

    /// Carries out a truncation that nothing was written after; once.
    pub(super) fn finish_truncation(&self, inode: Inode, handle: u64) {
        self.handles.begin_write(handle);
        // The disk may be gone, and then so are its faults.
        let _ = self.empty(inode);
    }
}

/// Whether reading the attributes or the text of `inode` asks the host for the size of an image.
pub(super) fn asks_storage(inode: Inode) -> bool {
    matches!(inode, Inode::Data(_) | Inode::Disk(_, DiskFile::Size))
}
