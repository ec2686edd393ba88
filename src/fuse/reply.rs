//! The reply to the kernel for each kind of request. A reply that is dropped unsent answers EIO.

use std::ops::Range;
use std::sync::Arc;

use fuser::{FileHandle, ReplyAttr, ReplyData, ReplyEmpty, ReplyOpen, ReplyWrite};

use super::cache::Dropper;
use super::inode::Inode;
use super::kernel::{self, DATA_FILE, TTL};
use super::tree::Tree;
use crate::disk::{Answer, Disk, Reply};
use crate::protocol::Errno;

/// Answers a read.
pub(super) struct ReadReply(pub(super) ReplyData);

impl Reply for ReadReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(Answer::Data(data)) => self.0.data(data),
            Ok(Answer::Done(_)) => self.0.data(&[]),
            Err(errno) => self.0.error(kernel::errno(errno)),
        }
    }
}

/// Answers a write. The kernel drops its pages of what was written; all of them, without a piece, if a rule may have
/// written elsewhere.
pub(super) struct WriteReply {
    pub(super) reply: ReplyWrite,
    pub(super) dropping: Option<(Dropper, Option<Range<u64>>)>,
}

impl Reply for WriteReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match self.dropping {
            None => {}
            Some((dropper, None)) => dropper.drop_all(),
            Some((dropper, Some(piece))) => dropper.drop_written(&piece),
        }
        match result {
            Ok(Answer::Done(len)) => self.reply.written(len as u32),
            Ok(Answer::Data(_)) => self.reply.written(0),
            Err(errno) => self.reply.error(kernel::errno(errno)),
        }
    }
}

/// Answers a request without data in its answer.
pub(super) struct EmptyReply(pub(super) ReplyEmpty);

impl Reply for EmptyReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(_) => self.0.ok(),
            Err(errno) => self.0.error(kernel::errno(errno)),
        }
    }
}

/// Answers the open of a data file, after its truncation if it had one.
pub(super) struct OpenReply {
    disk: Arc<Disk>,
    client: u64,
    reply: ReplyOpen,
}

impl OpenReply {
    /// Passes `client` on, or closes it if the open fails.
    pub(super) fn new(disk: Arc<Disk>, client: u64, reply: ReplyOpen) -> Self {
        Self {
            disk,
            client,
            reply,
        }
    }
}

impl Reply for OpenReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(_) => self.reply.opened(FileHandle(self.client), DATA_FILE),
            Err(errno) => {
                self.disk.close(self.client);
                self.reply.error(kernel::errno_by_path(errno));
            }
        }
    }
}

/// Answers a change of attributes with the new ones.
pub(super) struct AttrReply {
    tree: Arc<Tree>,
    inode: Inode,
    dropper: Option<Dropper>,
    reply: ReplyAttr,
}

impl AttrReply {
    /// The kernel drops the pages of a data file: it cannot see that data were cut off, as the size stays.
    pub(super) fn new(tree: &Arc<Tree>, inode: Inode, reply: ReplyAttr) -> Self {
        let dropper = match inode {
            Inode::Data(disk) => tree.cache.dropper(disk),
            _ => None,
        };
        Self {
            dropper,
            tree: Arc::clone(tree),
            inode,
            reply,
        }
    }
}

impl Reply for AttrReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        if let Some(dropper) = self.dropper {
            dropper.drop_all();
        }
        let attr = result.map_err(kernel::errno_by_path);
        match attr.and_then(|_| {
            self.tree
                .attr_now(self.inode)
                .map_err(kernel::errno_by_path)
        }) {
            Ok(attr) => self.reply.attr(&TTL, &attr),
            Err(errno) => self.reply.error(errno),
        }
    }
}
