//! The calls of data files: each is decoded into a request, which the disk serves.

use std::borrow::Cow;
use std::sync::Arc;

use fuser::{Errno, INodeNo, OpenFlags, ReplyData, ReplyEmpty, ReplyLseek, ReplyOpen, ReplyWrite};

use super::cache::PageReply;
use super::inode::Inode;
use super::kernel;
use super::provium::Provium;
use super::reply::{EmptyReply, OpenReply, ReadReply, WriteReply};
use crate::disk::{Answer, Disk, DiskRef, Fua, Origin, Reply, Request};
use crate::fault::Op;
use crate::storage::Extent;

/// The open file that a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// The client as the disk knows it; [`NOBODY`](crate::disk::NOBODY) for a request by path.
    pub(super) client: u64,
    pub(super) flags: OpenFlags,
}

impl Opened {
    /// A request whose flags do not matter.
    pub(super) fn by(client: u64) -> Self {
        let flags = OpenFlags(0);
        Self { client, flags }
    }
}

impl Provium {
    /// The disk behind a data file.
    pub(super) fn disk(&self, ino: INodeNo) -> Result<Arc<Disk>, Errno> {
        self.disk_ref(ino).map(|disk| Arc::clone(&disk))
    }

    /// The same, without a share in the disk.
    pub(super) fn disk_ref(&self, ino: INodeNo) -> Result<DiskRef, Errno> {
        match Inode::of(ino) {
            Some(Inode::Data(disk)) => self.tree.disks.disk_ref(disk).ok_or(Errno::ENODEV),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Has `disk` serve a request, here or on the pool. A file with O_DIRECT may ask for whole sectors only.
    fn submit(&self, disk: DiskRef, from: Opened, request: Request<'_>, reply: impl Reply) {
        let busy = self.tree.loops.enter();
        let origin = Origin {
            client: from.client,
            is_aligned: from.flags.0 & libc::O_DIRECT != 0,
            may_wait: busy.is_some(),
        };
        disk.submit(request, origin, reply);
        drop(busy);
        // A thread that rests for long must not keep the image of a disk that is detached meanwhile.
        drop(disk);
        self.tree.loops.rest();
    }

    /// The same for a request without data in its answer.
    pub(super) fn submit_plain(
        &self,
        ino: INodeNo,
        client: u64,
        request: Request<'static>,
        reply: ReplyEmpty,
    ) {
        match self.disk_ref(ino) {
            Ok(disk) => self.submit(disk, Opened::by(client), request, EmptyReply(reply)),
            Err(errno) => reply.error(errno),
        }
    }

    /// Opens a data file. With O_TRUNC the disk is emptied first.
    pub(super) fn open_data(&self, disk: DiskRef, flags: OpenFlags, reply: ReplyOpen) {
        let writes = writes(flags);
        if writes && disk.is_read_only() {
            return reply.error(Errno::EROFS);
        }
        let client = match disk.open() {
            Ok(client) => client,
            Err(errno) => return reply.error(kernel::errno_by_path(errno)),
        };
        let reply = OpenReply::new(Arc::clone(&disk), client, reply);
        match writes && flags.0 & libc::O_TRUNC != 0 {
            true => self.set_size(disk, client, 0, reply),
            false => reply.send(Ok(Answer::Done(0))),
        }
    }

    /// Sets the size of a disk, as far as it can change.
    pub(super) fn set_size(&self, disk: DiskRef, client: u64, size: u64, reply: impl Reply) {
        let request = Request::SetSize { size };
        self.submit(disk, Opened::by(client), request, reply);
    }

    /// Reads `len` bytes of the disk at `index`. A read `for_page` is the kernel's own, which keeps the
    /// page.
    pub(super) fn read_data(
        &self,
        index: usize,
        from: Opened,
        offset: u64,
        len: u32,
        for_page: bool,
        reply: ReplyData,
    ) {
        let Some(disk) = self.tree.disks.disk_ref(index) else {
            return reply.error(Errno::ENODEV);
        };
        let request = Request::Read { offset, len };
        let reply = ReadReply(reply);
        if !for_page {
            return self.submit(disk, from, request, reply);
        }
        let piece = offset..offset + u64::from(len);
        let reply = PageReply::new(&self.tree.cache, index, &disk, piece, reply);
        self.submit(disk, from, request, reply);
    }

    /// Writes `data` to the disk at `index`. A write `from_page` is the kernel's own, of a page that it keeps.
    pub(super) fn write_data(
        &self,
        index: usize,
        from: Opened,
        offset: u64,
        data: &[u8],
        from_page: bool,
        reply: ReplyWrite,
    ) {
        let Some(disk) = self.tree.disks.disk_ref(index) else {
            return reply.error(Errno::ENODEV);
        };
        // The kernel's idea of the end may be old: only the disk knows where it appends.
        let appends = from.flags.0 & libc::O_APPEND != 0;
        let is_elsewhere = || appends || disk.has_rule_for(Op::Write, offset, data.len() as u64);
        let written = offset..offset + data.len() as u64;
        let dropper = self.tree.cache.dropper(index);
        let dropping = dropper.and_then(|dropper| match (is_elsewhere(), from_page) {
            (true, _) => Some((dropper, None)),
            (false, true) => None,
            (false, false) => Some((dropper, Some(written))),
        });
        let reply = WriteReply { reply, dropping };
        let (data, fua) = (Cow::Borrowed(data), fua(from.flags));
        let request = match appends {
            true => Request::Append { data, fua },
            false => Request::Write { offset, data, fua },
        };
        self.submit(disk, from, request, reply);
    }

    /// Seeks data or a hole in a data file. A program that looks for holes in a control file gets an error,
    /// and reads all of it.
    pub(super) fn seek(&self, ino: INodeNo, offset: i64, whence: i32, reply: ReplyLseek) {
        let (disk, extent, offset) = match self.seek_of(ino, offset, whence) {
            Ok(seek) => seek,
            Err(errno) => return reply.error(errno),
        };
        let sought = Arc::clone(&disk);
        self.run_on_pool(&disk, move || match sought.seek(extent, offset) {
            Ok(found) => reply.offset(found as i64),
            Err(error) => reply.error(kernel::errno(crate::protocol::Errno::of(&error))),
        });
    }

    fn seek_of(
        &self,
        ino: INodeNo,
        offset: i64,
        whence: i32,
    ) -> Result<(Arc<Disk>, Extent, u64), Errno> {
        let extent = match whence {
            libc::SEEK_DATA => Extent::Data,
            libc::SEEK_HOLE => Extent::Hole,
            _ => return Err(Errno::EINVAL),
        };
        let disk = self.disk(ino)?;
        let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
        Ok((disk, extent, offset))
    }
}

/// Whether a file is opened for writing.
pub(super) fn writes(flags: OpenFlags) -> bool {
    flags.0 & libc::O_ACCMODE != libc::O_RDONLY
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

/// The request that a `fallocate(2)` is; None for a mode that no disk has.
pub(super) fn fallocate_request(mode: i32, offset: u64, len: u64) -> Option<Request<'static>> {
    const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
    const ZERO_KEEP: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
    match mode {
        PUNCH => Some(Request::Discard { offset, len }),
        ZERO | ZERO_KEEP => Some(Request::Zero {
            offset,
            len,
            keep_size: mode == ZERO_KEEP,
        }),
        0 | libc::FALLOC_FL_KEEP_SIZE => Some(Request::Allocate {
            offset,
            len,
            keep_size: mode != 0,
        }),
        _ => None,
    }
}
