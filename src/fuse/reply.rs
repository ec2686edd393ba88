//! The way back to the kernel for each kind of request. Dropped unsent, each answers EIO.

use std::sync::Arc;

use fuser::{FileHandle, ReplyAttr, ReplyData, ReplyEmpty, ReplyOpen, ReplyWrite};

use super::adapter::{DATA_FILE, TTL};
use super::cache::Dropper;
use super::inode::Inode;
use super::tree::Tree;
use crate::disk::{Answer, Disk, Reply};
use crate::protocol::Errno;

/// What Linux has inside for "not supported"; some file systems let it out (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// The kernel's type for an error number: one that it carries, and that means to it what it means
/// to the client.
///
/// ENOSYS is a word of the protocol: the kernel takes it for "this file system serves no such
/// requests" and sends none of them any more, for any file (fs/fuse/file.c: `no_fsync`,
/// `no_fallocate`, `no_lseek`, `no_open`, ...). A disk says EOPNOTSUPP instead. A number above 511 the
/// kernel rejects, and its client would wait for ever.
pub(super) fn kernel(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(match errno.0 {
        libc::ENOSYS | ENOTSUPP => libc::EOPNOTSUPP,
        number @ 1..=Errno::LARGEST => number,
        _ => libc::EIO,
    })
}

/// The same for calls that go by a path: on ESTALE and ECHILD the kernel walks it anew, and asks
/// again (fs/namei.c).
pub(super) fn kernel_by_path(errno: Errno) -> fuser::Errno {
    kernel(match errno.0 {
        libc::ESTALE | libc::ECHILD => Errno::EIO,
        _ => errno,
    })
}

/// Answers a read.
pub(super) struct ReadReply(pub(super) ReplyData);

impl Reply for ReadReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(Answer::Data(data)) => self.0.data(data),
            Ok(Answer::Done(_)) => self.0.data(&[]),
            Err(errno) => self.0.error(kernel(errno)),
        }
    }
}

/// Answers a write, of which a rule may have changed the place.
pub(super) struct WriteReply(pub(super) ReplyWrite, pub(super) Option<Dropper>);

impl Reply for WriteReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        if let Some(dropper) = self.1 {
            dropper.drop_all();
        }
        match result {
            Ok(Answer::Done(len)) => self.0.written(len as u32),
            Ok(Answer::Data(_)) => self.0.written(0),
            Err(errno) => self.0.error(kernel(errno)),
        }
    }
}

/// Answers whatever has no data in its answer.
pub(super) struct EmptyReply(pub(super) ReplyEmpty);

impl Reply for EmptyReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(_) => self.0.ok(),
            Err(errno) => self.0.error(kernel(errno)),
        }
    }
}

/// Answers the open of a data file, which a truncation may go before.
pub(super) struct OpenReply {
    disk: Arc<Disk>,
    client: u64,
    reply: ReplyOpen,
}

impl OpenReply {
    /// Hands `client` over, or closes it where the open fails.
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
                self.reply.error(kernel_by_path(errno));
            }
        }
    }
}

/// Answers a change of attributes with what they are then.
pub(super) struct AttrReply {
    tree: Arc<Tree>,
    inode: Inode,
    dropper: Option<Dropper>,
    reply: ReplyAttr,
}

impl AttrReply {
    /// Where data are cut off, the kernel has to be told: the size stays, so that it sees nothing.
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
        let attr = result.map_err(kernel_by_path);
        match attr.and_then(|_| self.tree.attr_now(self.inode).map_err(kernel_by_path)) {
            Ok(attr) => self.reply.attr(&TTL, &attr),
            Err(errno) => self.reply.error(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leaves_as_itself_but_those_that_mean_something_else_to_the_kernel() {
        let changed = |to: fn(Errno) -> fuser::Errno| {
            let numbers = (-1..5000).map(|number| (number, to(Errno(number)).code()));
            let changed = numbers.filter(|(number, code)| number != code);
            changed.collect::<Vec<_>>()
        };
        let mut expected = vec![(-1, libc::EIO), (0, libc::EIO), (38, libc::EOPNOTSUPP)];
        expected.extend((512..5000).map(|number| (number, libc::EIO)));
        expected[3 + 524 - 512].1 = libc::EOPNOTSUPP;
        assert_eq!(changed(kernel), expected);
        expected.insert(2, (libc::ECHILD, libc::EIO));
        expected.push((libc::ESTALE, libc::EIO));
        expected.sort_unstable();
        assert_eq!(changed(kernel_by_path), expected);
    }
}
