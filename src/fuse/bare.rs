//! A bare passthrough with the loop threads of a mount. The bench compares the mount with it: the difference
//! is the cost of faults, counters and control files. It serves one image as `MNT/vda` and nothing else.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Session, WriteFlags,
};

use super::kernel::{self, DATA_FILE};
use super::loops::Loops;
use super::session::config;
use crate::disk::LARGEST_REQUEST;
use crate::os::mounts::Mount;
use crate::os::sys;
use crate::protocol::Errno as DiskErrno;
use crate::storage::{FileImage, Image, OpenError, with_buffer};

const VDA: INodeNo = INodeNo(2);

struct Bare {
    image: FileImage,
    loops: Arc<Loops>,
}

/// A mount of the bare passthrough.
pub struct BareSession(BackgroundSession);

impl BareSession {
    /// Returns once it is unmounted.
    pub fn join(self) -> io::Result<()> {
        self.0.join()
    }
}

/// Mounts at `mount_point`, and starts to serve the image at `image`.
pub fn mount(mount_point: &Path, image: &Path) -> io::Result<BareSession> {
    let image = FileImage::open(image, false)
        .map_err(|error: OpenError| io::Error::other(error.to_string()))?;
    let loops = Loops::start()?;
    let source = Mount::source(&std::process::id().to_string());
    let config = config(false, loops.threads(), &source);
    let bare = Bare {
        image,
        loops: Arc::clone(&loops),
    };
    let session = Session::new(bare, mount_point, &config)?;
    loops.poll_at(session.as_fd().try_clone_to_owned()?);
    Ok(BareSession(session.spawn()?))
}

impl Bare {
    fn attr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        let kind = match ino {
            VDA => FileType::RegularFile,
            _ => FileType::Directory,
        };
        Ok(FileAttr {
            ino,
            size: self.image.size()?,
            blocks: 0,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: sys::uid(),
            gid: sys::gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Bare {
    fn init(&mut self, _req: &fuser::Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        let _ = config.set_max_write(LARGEST_REQUEST);
        let _ = config.set_max_background(u16::MAX);
        Ok(())
    }

    fn lookup(&self, _req: &fuser::Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match (name == "vda", self.attr(VDA)) {
            (true, Ok(attr)) => reply.entry(&Duration::ZERO, &attr, Generation(0)),
            (true, Err(errno)) => reply.error(errno),
            (false, _) => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        _fh: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match self.attr(ino) {
            Ok(attr) => reply.attr(&Duration::ZERO, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _req: &fuser::Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), DATA_FILE);
    }

    fn read(
        &self,
        _req: &fuser::Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let busy = self.loops.enter();
        with_buffer(size as usize, |buffer| {
            let read = buffer.and_then(|buffer| {
                let n = self.image.read_at(buffer, offset)?;
                Ok(&buffer[..n])
            });
            match read {
                Ok(data) => reply.data(data),
                Err(error) => reply.error(kernel::errno(DiskErrno::of(&error))),
            }
        });
        drop(busy);
        self.loops.rest();
    }

    fn write(
        &self,
        _req: &fuser::Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let busy = self.loops.enter();
        match self.image.write_at(data, offset) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(kernel::errno(DiskErrno::of(&error))),
        }
        drop(busy);
        self.loops.rest();
    }

    fn fsync(
        &self,
        _req: &fuser::Request,
        _ino: INodeNo,
        _fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        match self.image.flush(datasync) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(kernel::errno(DiskErrno::of(&error))),
        }
    }
}
