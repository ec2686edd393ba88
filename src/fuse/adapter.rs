//! Each FUSE call, turned into one on a disk or a control file.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyWrite, TimeOrNow, WriteFlags,
};

use super::cache::PageReply;
use super::inode::Inode;
use super::reply::{
    AttrReply, EmptyReply, OpenReply, ReadReply, WriteReply, kernel, kernel_by_path,
};
use super::stream;
use super::tree::Tree;
use crate::disk::{
    Answer, Disk, DiskRef, Fua, LARGEST_REQUEST, NOBODY, Origin, Reply, Request as DiskRequest,
};
use crate::fault::Op;
use crate::protocol::Reads;
use crate::protocol::names::{IOCTL_INJECTED_ERRORS, IOCTL_OWN_CALLS};
use crate::storage::Extent;

/// Nothing is cached: an image may change size, and disks come and go.
pub(super) const TTL: Duration = Duration::ZERO;
/// Requests of asynchronous clients that may be under way at once. Delayed ones count.
const MOST_BACKGROUND: u16 = u16::MAX;

/// How the kernel treats a data file: nothing is cached, and requests are not serialised.
pub(super) const DATA_FILE: FopenFlags = FopenFlags::FOPEN_DIRECT_IO
    .union(FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES)
    .union(FopenFlags::FOPEN_NOFLUSH);

/// The filesystem of one mount.
pub(super) struct Provium {
    tree: Arc<Tree>,
}

/// The session drops the filesystem at its end: the only sign of it where no request ever came.
impl Drop for Provium {
    fn drop(&mut self) {
        self.tree.loops.end();
    }
}

impl Provium {
    pub(super) fn new(tree: Tree) -> Self {
        let tree = Arc::new(tree);
        Self { tree }
    }

    /// Does `work` for `disk`, which may take as long as its storage takes, on the pool.
    fn run_on_pool(&self, disk: &Disk, work: impl FnOnce(&Tree) + Send + 'static) {
        let tree = Arc::clone(&self.tree);
        let pool = self.tree.disks.pool();
        pool.run(disk.owner(), move || work(&tree));
        self.tree.loops.rest();
    }

    /// Does `work` for a control file, or for what is said of a disk, on a thread that no data waits
    /// for. Where there is none to be had, the reply that `work` owns answers EIO.
    fn run_apart(&self, inode: Inode, work: impl FnOnce(&Tree) + Send + 'static) {
        let tree = Arc::clone(&self.tree);
        let pool = &self.tree.control_pool;
        pool.run(inode.group(), move || work(&tree));
        self.tree.loops.rest();
    }

    /// The last client has closed an open control file.
    fn released(&self, inode: Inode, fh: FileHandle) {
        if self.tree.released(inode, fh.0) {
            self.run_apart(inode, move |tree| tree.finish_truncation(inode));
        }
    }

    /// Answers with the attributes of `inode` through `answer`.
    fn with_attr(
        &self,
        inode: Inode,
        answer: impl FnOnce(Result<FileAttr, Errno>) + Send + 'static,
    ) {
        if self.tree.takes_long(inode) {
            return self.run_apart(inode, move |tree| {
                answer(tree.attr(inode).map_err(kernel_by_path));
            });
        }
        answer(self.tree.attr(inode).map_err(kernel_by_path));
        self.tree.loops.rest();
    }

    /// The open disk behind a data file's inode.
    fn data(&self, ino: INodeNo) -> Result<Arc<Disk>, Errno> {
        match Inode::of(ino) {
            Some(Inode::Data(disk)) => self.tree.disks.at(disk).ok_or(Errno::ENODEV),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The same, without a share in the disk.
    fn disk_ref(&self, ino: INodeNo) -> Result<DiskRef, Errno> {
        match Inode::of(ino) {
            Some(Inode::Data(disk)) => self.tree.disks.disk_ref(disk).ok_or(Errno::ENODEV),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Has `disk` serve a request of `client`, here or on the pool. A client with O_DIRECT in its
    /// `flags` may ask for whole sectors only.
    fn submit(
        &self,
        disk: impl Deref<Target = Arc<Disk>>,
        client: u64,
        flags: OpenFlags,
        request: DiskRequest<'_>,
        reply: impl Reply,
    ) {
        let busy = self.tree.loops.enter();
        let origin = Origin {
            client,
            is_aligned: flags.0 & libc::O_DIRECT != 0,
            may_wait: busy.is_some(),
        };
        disk.submit(request, origin, reply);
        drop(busy);
        // A thread that rests for long must not keep the image of a disk that is detached meanwhile.
        drop(disk);
        self.tree.loops.rest();
    }

    /// The same for a request without data in its answer.
    fn submit_plain(
        &self,
        ino: INodeNo,
        fh: FileHandle,
        request: DiskRequest<'static>,
        reply: ReplyEmpty,
    ) {
        match self.disk_ref(ino) {
            Ok(disk) => self.submit(disk, fh.0, OpenFlags(0), request, EmptyReply(reply)),
            Err(errno) => reply.error(errno),
        }
    }
}

/// How much of a write is on stable storage before it is answered.
fn fua(flags: OpenFlags) -> Option<Fua> {
    // O_SYNC is O_DSYNC and a bit of its own. The kernel sets them for RWF_SYNC and RWF_DSYNC too.
    match flags.0 & libc::O_SYNC {
        libc::O_SYNC => Some(Fua::All),
        libc::O_DSYNC => Some(Fua::Data),
        _ => None,
    }
}

fn fallocate_request(mode: i32, offset: u64, len: u64) -> Option<DiskRequest<'static>> {
    const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
    const ZERO_KEEP: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
    match mode {
        PUNCH => Some(DiskRequest::Discard { offset, len }),
        ZERO | ZERO_KEEP => Some(DiskRequest::Zero {
            offset,
            len,
            keep_size: mode == ZERO_KEEP,
        }),
        0 | libc::FALLOC_FL_KEEP_SIZE => Some(DiskRequest::Allocate {
            offset,
            len,
            keep_size: mode != 0,
        }),
        _ => None,
    }
}

/// There is no `poll`: a mount that answers it is asked before each request of an io_uring client. The
/// kernel then takes every file for ready, a stream too.
impl Filesystem for Provium {
    fn init(&mut self, _req: &fuser::Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Each is an improvement that an old kernel may lack.
        let wanted = [
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_PARALLEL_DIROPS,
        ];
        for flag in wanted {
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_write(LARGEST_REQUEST);
        let _ = config.set_max_background(MOST_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _req: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
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
        _req: &fuser::Request,
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
        if let (Ok(disk), Some(size)) = (self.disk_ref(ino), size) {
            let client = fh.map_or(NOBODY, |fh| fh.0);
            let request = DiskRequest::SetSize { size };
            return self.submit(disk, client, OpenFlags(0), request, reply);
        }
        self.run_apart(inode, move |tree| {
            let emptied = match size {
                None => Ok(()),
                Some(0) => tree.empty(inode),
                Some(_) => Err(crate::protocol::Errno(libc::EINVAL)),
            };
            reply.send(emptied.map(|()| Answer::Done(0)));
        });
    }

    fn open(&self, _req: &fuser::Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.0 & libc::O_ACCMODE != libc::O_RDONLY;
        if let Ok(disk) = self.disk_ref(ino) {
            if writes && disk.is_read_only() {
                return reply.error(Errno::EROFS);
            }
            let client = match disk.open() {
                Ok(client) => client,
                Err(errno) => return reply.error(kernel_by_path(errno)),
            };
            let reply = OpenReply::new(Arc::clone(&disk), client, reply);
            return match writes && flags.0 & libc::O_TRUNC != 0 {
                true => {
                    let request = DiskRequest::SetSize { size: 0 };
                    self.submit(disk, client, OpenFlags(0), request, reply);
                }
                false => reply.send(Ok(Answer::Done(0))),
            };
        }
        match Inode::of(ino) {
            Some(inode) if inode.reads() == Reads::Stream => match self.tree.listen(inode) {
                Ok(listener) => {
                    let handle = self.tree.handles.open_stream(listener);
                    reply.opened(FileHandle(handle), stream::OPEN_FLAGS);
                }
                Err(errno) => reply.error(kernel(errno)),
            },
            Some(Inode::Control(_) | Inode::Disk(..)) => {
                let truncate = writes && flags.0 & libc::O_TRUNC != 0;
                let handle = self.tree.handles.open(truncate);
                reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO);
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
        if let Some(Inode::Data(index)) = Inode::of(ino) {
            let Some(disk) = self.tree.disks.disk_ref(index) else {
                return reply.error(Errno::ENODEV);
            };
            let request = DiskRequest::Read { offset, len: size };
            let reply = ReadReply(reply);
            if lock_owner.is_some() {
                return self.submit(disk, fh.0, flags, request, reply);
            }
            // Nobody reads: the kernel wants a page, to keep it.
            let piece = offset..offset + u64::from(size);
            let reply = PageReply::new(&self.tree.cache, index, &disk, piece, reply);
            return self.submit(disk, fh.0, flags, request, reply);
        }
        if let Some(listener) = self.tree.handles.stream(fh.0) {
            return self.tree.streams.answer(stream::Read {
                listener,
                pid: req.pid(),
                size,
                waits: flags.0 & libc::O_NONBLOCK == 0,
                reply,
            });
        }
        let Some(inode) = Inode::of(ino) else {
            return reply.error(Errno::EINVAL);
        };
        self.run_apart(inode, move |tree| {
            match tree.page(inode, fh.0, offset, size as usize) {
                Ok(page) => reply.data(&page),
                Err(errno) => reply.error(kernel(errno)),
            }
        });
    }

    fn write(
        &self,
        _req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let len = data.len();
        if let Some(Inode::Data(index)) = Inode::of(ino) {
            let Some(disk) = self.tree.disks.disk_ref(index) else {
                return reply.error(Errno::ENODEV);
            };
            // The kernel's idea of the end may be old: only the disk knows where it appends.
            let appends = flags.0 & libc::O_APPEND != 0;
            let is_elsewhere = || appends || disk.has_rule_for(Op::Write, offset, len as u64);
            let dropper = self.tree.cache.dropper(index);
            let reply = WriteReply(reply, dropper.filter(|_| is_elsewhere()));
            let (data, fua) = (Cow::Borrowed(data), fua(flags));
            let request = match appends {
                true => DiskRequest::Append { data, fua },
                false => DiskRequest::Write { offset, data, fua },
            };
            return self.submit(disk, fh.0, flags, request, reply);
        }
        let Some(inode) = Inode::of(ino) else {
            return reply.error(Errno::EINVAL);
        };
        let data = data.to_vec();
        self.run_apart(inode, move |tree| {
            match tree.write_control(inode, fh.0, &data) {
                Ok(()) => reply.written(len as u32),
                Err(errno) => reply.error(kernel(errno)),
            }
        });
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
            Some(inode) => self.released(inode, fh),
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
        let request = DiskRequest::Flush {
            data_only: datasync,
        };
        self.submit_plain(ino, fh, request, reply);
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
            Some(request) => self.submit_plain(ino, fh, request, reply),
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
        let extent = match whence {
            libc::SEEK_DATA => Extent::Data,
            libc::SEEK_HOLE => Extent::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let disk = match self.data(ino) {
            Ok(disk) => disk,
            // What looks for holes reads all of a control file then.
            Err(errno) => return reply.error(errno),
        };
        let Ok(offset) = u64::try_from(offset) else {
            return reply.error(Errno::ENXIO);
        };
        let sought = Arc::clone(&disk);
        self.run_on_pool(&disk, move |_| match sought.seek(extent, offset) {
            Ok(found) => reply.offset(found as i64),
            Err(error) => reply.error(kernel(crate::protocol::Errno::of(&error))),
        });
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
        match self.data(ino) {
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
        let dots = [(folder, ".".to_owned()), (Inode::Root, "..".to_owned())];
        let entries = dots
            .into_iter()
            .chain(self.tree.entries(folder))
            .enumerate();
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

    // Disks come by `ctl/attach` and go by `ctl/detach`: nothing is made or removed by name.

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
