//! Each FUSE call: decoded, passed on, and answered. No policy.

use std::ffi::OsStr;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyWrite,
    TimeOrNow, WriteFlags,
};

use super::data_calls::{Opened, fallocate_request};
use super::inode::Inode;
use super::kernel::TTL;
use super::provium::Provium;
use super::reply::AttrReply;
use crate::disk::{LARGEST_REQUEST, NOBODY, Request};
use crate::protocol::names::{IOCTL_INJECTED_ERRORS, IOCTL_OWN_CALLS};

/// Requests of asynchronous clients that may be under way at once. Delayed ones count.
const MOST_BACKGROUND: u16 = u16::MAX;

/// A look-up of this name panics in the thread that serves it.
#[cfg(feature = "testing")]
const PANICS: &str = ".panic-for-a-test";

fn no_mappings() -> std::io::Error {
    let text =
        "-o mmap: this kernel has no shared mappings of such files (Linux 6.6 and later have them)";
    std::io::Error::new(std::io::ErrorKind::Unsupported, text)
}

/// There is no `poll`: if a mount answers it, the kernel asks before each request of an io_uring client.
/// Without it the kernel takes every file for ready, a stream too.
impl Filesystem for Provium {
    fn init(&mut self, _req: &fuser::Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // An old kernel may lack any of them, and the mount works without.
        let wanted = [
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_PARALLEL_DIROPS,
        ];
        for flag in wanted {
            let _ = config.add_capabilities(flag);
        }
        if self.tree.attributes.allow_shared_mappings() {
            let flag = InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
            config.add_capabilities(flag).map_err(|_| no_mappings())?;
        }
        let _ = config.set_max_write(LARGEST_REQUEST);
        let _ = config.set_max_background(MOST_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _req: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        #[cfg(feature = "testing")]
        assert!(name != PANICS, "a test asked for it");
        let Some(inode) = self.tree.lookup(parent, name) else {
            return reply.error(Errno::ENOENT);
        };
        self.with_attr(inode, move |attr| match attr {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        });
    }

    fn getattr(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        _fh: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let Some(inode) = Inode::of(ino) else {
            return reply.error(Errno::ENOENT);
        };
        self.with_attr(inode, move |attr| match attr {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        });
    }

    fn setattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let Some(inode) = Inode::of(ino) else {
            return reply.error(Errno::ENOENT);
        };
        if mode.is_some() || uid.is_some() || gid.is_some() {
            return reply.error(Errno::EPERM);
        }
        let reply = AttrReply::new(&self.tree, inode, reply);
        let client = fh.map_or(NOBODY, |fh| fh.0);
        match (self.disk_ref(ino), size) {
            (Ok(disk), Some(size)) => self.set_size(disk, client, size, reply),
            _ => self.set_control_size(req, inode, size, reply),
        }
    }

    fn open(&self, _req: &fuser::Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match (Inode::of(ino), self.disk_ref(ino)) {
            (_, Ok(disk)) => self.open_data(disk, flags, reply),
            (Some(inode @ (Inode::Control(_) | Inode::Disk(..))), _) => {
                self.open_control(inode, flags, reply);
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let client = fh.0;
        let from = Opened { client, flags };
        match Inode::of(ino) {
            // A client's read has an owner; without one the kernel itself reads a page.
            Some(Inode::Data(disk)) => {
                self.read_data(disk, from, offset, size, lock_owner.is_none(), reply);
            }
            Some(inode) => self.read_control(req, inode, from, offset, size, reply),
            None => reply.error(Errno::EINVAL),
        }
    }

    fn write(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let client = fh.0;
        let from = Opened { client, flags };
        let from_page = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        match Inode::of(ino) {
            Some(Inode::Data(disk)) => self.write_data(disk, from, offset, data, from_page, reply),
            Some(inode) => self.write_control(req, inode, client, data, reply),
            None => reply.error(Errno::EINVAL),
        }
    }

    fn flush(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        match Inode::of(ino) {
            None | Some(Inode::Data(_)) => {}
            Some(inode) => self.tree.closed(inode, fh.0),
        }
        reply.ok();
    }

    fn release(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        match Inode::of(ino) {
            Some(Inode::Data(disk)) => {
                if let Some(disk) = self.tree.disks.at(disk) {
                    disk.close(fh.0);
                }
            }
            Some(inode) => self.released(inode, fh.0),
            None => {}
        }
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let request = Request::Flush {
            data_only: datasync,
        };
        self.submit_plain(ino, fh.0, request, reply);
    }

    fn fallocate(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        match fallocate_request(mode, offset, length) {
            Some(request) => self.submit_plain(ino, fh.0, request, reply),
            None => reply.error(Errno::EOPNOTSUPP),
        }
    }

    fn lseek(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.seek(ino, offset, whence, reply);
    }

    fn ioctl(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        match self.disk_ref(ino) {
            Ok(disk) if cmd == IOCTL_INJECTED_ERRORS => {
                reply.ioctl(0, &disk.injected_errors(fh.0).to_ne_bytes());
            }
            Ok(disk) if cmd == IOCTL_OWN_CALLS => {
                disk.set_test(fh.0);
                reply.ioctl(0, &1_u64.to_ne_bytes());
            }
            _ => reply.error(Errno::ENOTTY),
        }
    }

    fn readdir(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(folder) = Inode::of(ino).filter(|inode| inode.is_folder()) else {
            return reply.error(Errno::ENOTDIR);
        };
        let entries = self.tree.listing(folder).into_iter().enumerate();
        for (at, (inode, name)) in entries.skip(offset as usize) {
            let kind = match inode.is_folder() {
                true => FileType::Directory,
                false => FileType::RegularFile,
            };
            if reply.add(inode.number(), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    // Disks come by `ctl/attach` and go by `ctl/detach`: no name is created or removed otherwise.

    fn create(
        &self,
        _req: &fuser::Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mknod(
        &self,
        _req: &fuser::Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mkdir(
        &self,
        _req: &fuser::Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn unlink(&self, _req: &fuser::Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rmdir(&self, _req: &fuser::Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        _req: &fuser::Request,
        _parent: INodeNo,
        _name: &OsStr,
        _newparent: INodeNo,
        _newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EPERM);
    }
}
