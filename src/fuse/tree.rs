//! The files of a mount by inode: names, attributes, the text of the control files.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::{FileAttr, INodeNo};
use parking_lot::Mutex;

use super::attr::Attributes;
use super::cache::PageCache;
use super::handles::Handles;
use super::inode::Inode;
use super::loops::Loops;
use super::stream::Streams;
use crate::control::{Control, Text};
use crate::disk::{Disk, Disks, Listener, Pool};
use crate::protocol::names::CTL;
use crate::protocol::{ControlFile, DiskFile, Errno, Reads};

/// The loop threads make no text of more lines than this.
const FEW: usize = 16;

/// The state that the loop threads and the pools share.
pub(super) struct Tree {
    pub(super) disks: Arc<Disks>,
    pub(super) control: Control,
    pub(super) handles: Handles,
    pub(super) attributes: Attributes,
    pub(super) loops: Arc<Loops>,
    pub(super) cache: Arc<PageCache>,
    pub(super) streams: Arc<Streams>,
    /// Threads for the requests of control files, which may take long. No data waits for them.
    pub(super) control_pool: Pool,
}

impl Tree {
    /// The file called `name` in a folder.
    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> Option<Inode> {
        let name = name.to_str()?;
        match Inode::of(parent)? {
            Inode::Root if name == CTL => Some(Inode::Ctl),
            Inode::Root => Some(Inode::Data(self.disks.find(name)?.0)),
            Inode::Ctl => match ControlFile::named(name) {
                Some(file) => Some(Inode::Control(file)),
                None => Some(Inode::DiskFolder(self.disks.find(name)?.0)),
            },
            Inode::DiskFolder(disk) => Some(Inode::Disk(disk, DiskFile::named(name)?)),
            _ => None,
        }
    }

    /// The attributes of a file now. For a data file this waits a moment for its storage: call it on a
    /// pool.
    pub(super) fn attr(&self, inode: Inode) -> Result<FileAttr, Errno> {
        match inode {
            Inode::Data(disk) => {
                let disk = self.disks.at(disk).ok_or(Errno(libc::ENOENT))?;
                Ok(self.attributes.data(inode, &disk, disk.stat_soon()?))
            }
            Inode::DiskFolder(disk) | Inode::Disk(disk, _) => {
                self.disks.at(disk).ok_or(Errno(libc::ENOENT))?;
                Ok(self.attributes.plain(inode, self.text_len(inode)?))
            }
            _ => Ok(self.attributes.plain(inode, self.text_len(inode)?)),
        }
    }

    /// Whether [`attr`](Self::attr) of `inode` may take long, and so belongs on a pool.
    pub(super) fn takes_long(&self, inode: Inode) -> bool {
        let (disk, file) = match inode {
            Inode::Data(_) | Inode::Control(ControlFile::Disks) => return true,
            Inode::Disk(disk, file) => (disk, file),
            Inode::Control(
                ControlFile::Version
                | ControlFile::Attach
                | ControlFile::Detach
                | ControlFile::Clear
                | ControlFile::Error
                | ControlFile::Power
                | ControlFile::Mark
                | ControlFile::Events,
            )
            | Inode::Root
            | Inode::Ctl
            | Inode::DiskFolder(_) => return false,
        };
        let Some(disk) = self.disks.at(disk) else {
            return false;
        };
        let lines = match file {
            DiskFile::Size => return true,
            DiskFile::Faults | DiskFile::Rules => disk.faults().armed().len(),
            DiskFile::Damage => disk.damage().len(),
            DiskFile::Inflight => disk.in_flight_count(),
            DiskFile::Pending => disk.pending_amount().requests as usize,
            DiskFile::Checkpoint => disk.checkpoints().len(),
            DiskFile::Stats
            | DiskFile::Release
            | DiskFile::Trace
            | DiskFile::Decisions
            | DiskFile::Image
            | DiskFile::Mode
            | DiskFile::Seed
            | DiskFile::Cache
            | DiskFile::Power
            | DiskFile::Log
            | DiskFile::Mark => 0,
        };
        lines > FEW || disk.is_settling()
    }

    /// The length of a control file's text: asynchronous reads, sendfile and mappings go by it.
    fn text_len(&self, inode: Inode) -> Result<u64, Errno> {
        match (inode.reads(), inode) {
            (Reads::Nothing | Reads::Stream, _) => Ok(0),
            (Reads::Text, Inode::Disk(disk, file)) => {
                self.control.disk_len(&self.settled_disk(disk)?, file)
            }
            (Reads::Text, _) => Ok(self.text(inode)?.len()),
        }
    }

    /// The attributes after a change, which they have to show. Takes as long as the storage takes.
    pub(super) fn attr_now(&self, inode: Inode) -> Result<FileAttr, Errno> {
        let Inode::Data(disk) = inode else {
            return self.attr(inode);
        };
        let disk = self.disks.at(disk).ok_or(Errno(libc::ENOENT))?;
        let stat = disk.stat().map_err(|error| Errno::of(&error))?;
        Ok(self.attributes.data(inode, &disk, stat))
    }

    /// The entries of a folder: itself, the top folder as its parent, and its files.
    pub(super) fn listing(&self, folder: Inode) -> Vec<(Inode, String)> {
        let dots = [(folder, ".".to_owned()), (Inode::Root, "..".to_owned())];
        dots.into_iter().chain(self.entries(folder)).collect()
    }

    /// The files in a folder.
    fn entries(&self, folder: Inode) -> Vec<(Inode, String)> {
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

    /// The text of a control file now.
    fn text(&self, inode: Inode) -> Result<Text, Errno> {
        match inode {
            Inode::Control(file) => self.control.read(file),
            Inode::Disk(disk, file) => self.control.read_disk(&self.settled_disk(disk)?, file),
            _ => Err(Errno(libc::EISDIR)),
        }
    }

    /// The disk, with no `>` under way that empties its files.
    fn settled_disk(&self, disk: usize) -> Result<Arc<Disk>, Errno> {
        let disk = self.disks.at(disk).ok_or(Errno(libc::ENODEV))?;
        disk.settle();
        Ok(disk)
    }

    /// Begins to read a control file that is a stream.
    pub(super) fn listen(&self, inode: Inode) -> Result<Arc<Listener>, Errno> {
        match inode {
            Inode::Control(file) => self.control.listen(file),
            Inode::Disk(disk, file) => {
                let disk = self.disks.at(disk).ok_or(Errno(libc::ENOENT))?;
                self.control.listen_to_disk(&disk, file)
            }
            _ => Err(Errno(libc::ENOENT)),
        }
    }

    /// Up to `size` bytes of a control file. A read from offset 0 makes the text anew; later ones read on in
    /// the same snapshot.
    pub(super) fn page(
        &self,
        inode: Inode,
        handle: u64,
        offset: u64,
        size: usize,
    ) -> Result<Vec<u8>, Errno> {
        let begun = self.handles.text(handle).filter(|_| offset > 0);
        let text = match begun {
            Some(text) => text,
            None => {
                let text = Arc::new(Mutex::new(self.text(inode)?));
                self.handles.store(handle, Arc::clone(&text));
                text
            }
        };
        let page = text.lock().page(offset, size);
        Ok(page)
    }

    /// Carries out a write through `handle`. The first one after a `>` replaces the content.
    pub(super) fn write_control(
        &self,
        inode: Inode,
        handle: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        let replace = self.handles.begin_write(handle);
        match replace {
            // The close before was not the last one.
            true => self.concerned(inode).iter().for_each(|disk| disk.settled()),
            false => self.concerned(inode).iter().for_each(|disk| disk.settle()),
        }
        match inode {
            Inode::Control(file) => self.control.write(file, data),
            Inode::Disk(disk, file) => {
                let disk = self.disks.at(disk).ok_or(Errno(libc::ENODEV))?;
                match file == DiskFile::Faults {
                    true => match self.write_faults(&disk, handle, data, replace) {
                        Ok(true) => Ok(()),
                        done => return done.map(|_| ()),
                    },
                    false => self.control.write_disk(&disk, file, data, replace),
                }
            }
            _ => Err(Errno(libc::EISDIR)),
        }?;
        self.handles.replaced(handle);
        self.forget_pages(inode);
        Ok(())
    }

    /// Returns whether the write took effect: what follows `begin` waits for `commit`.
    fn write_faults(
        &self,
        disk: &Arc<Disk>,
        handle: u64,
        data: &[u8],
        replace: bool,
    ) -> Result<bool, Errno> {
        let mut collected = self.handles.take_collected(handle);
        let written = self
            .control
            .write_faults(disk, &mut collected, data, replace);
        self.handles.keep_collected(handle, collected);
        written
    }

    /// Call it after a write to `inode`. If that may have changed rules, the kernel drops the pages that it
    /// read under the old ones.
    fn forget_pages(&self, inode: Inode) {
        match inode {
            Inode::Disk(disk, file) if file.writes().changes_rules() => self.cache.renew(&[disk]),
            Inode::Control(file) if file.writes().changes_rules() => {
                let disks = self.disks.all().into_iter();
                self.cache
                    .renew(&disks.map(|(at, _)| at).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    /// Carries out a `> file` without a write, and `truncate -s 0 file`: an empty write that replaces.
    pub(super) fn empty(&self, inode: Inode) -> Result<(), Errno> {
        match inode {
            Inode::Control(file) if file.writes().clears_when_emptied() => {
                self.control.write(file, b"")
            }
            Inode::Disk(disk, file) if file.writes().clears_when_emptied() => {
                let disk = self.disks.at(disk).ok_or(Errno(libc::ENODEV))?;
                self.control.write_disk(&disk, file, b"", true)
            }
            // Nothing to empty, as in /proc.
            _ => Ok(()),
        }?;
        self.forget_pages(inode);
        Ok(())
    }

    /// A client has closed `handle`. Whether it was the last one is not known yet.
    pub(super) fn closed(&self, inode: Inode, handle: u64) {
        if self.handles.is_untouched_truncation(handle) {
            let concerned = self.concerned(inode);
            concerned.iter().for_each(|disk| disk.expect_clear());
        }
    }

    /// The last client has closed `handle`. Returns whether it was opened with truncation and never written
    /// to: then [`finish_truncation`](Self::finish_truncation) has to follow.
    pub(super) fn released(&self, inode: Inode, handle: u64) -> bool {
        let is_truncation = self.handles.is_untouched_truncation(handle);
        if is_truncation {
            let concerned = self.concerned(inode);
            concerned.iter().for_each(|disk| disk.begin_clear());
        }
        let collected = self.handles.close(handle);
        if let (Some(collected), Inode::Disk(disk, _)) = (collected, inode)
            && let Some(disk) = self.disks.at(disk)
        {
            self.control.close_faults(&disk, &collected);
        }
        is_truncation
    }

    /// Empties a file that was opened with truncation and never written to.
    pub(super) fn finish_truncation(&self, inode: Inode) {
        // The disk may be gone, and then so are its faults.
        let _ = self.empty(inode);
        self.concerned(inode).iter().for_each(|disk| disk.settled());
    }

    /// The disks whose rules are cleared when `inode` is emptied.
    fn concerned(&self, inode: Inode) -> Vec<Arc<Disk>> {
        match inode {
            Inode::Control(file) if file.writes().clears_when_emptied() => {
                let disks = self.disks.all().into_iter();
                disks.map(|(_, disk)| disk).collect()
            }
            Inode::Disk(disk, file) if file.writes().clears_when_emptied() => {
                self.disks.at(disk).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}
