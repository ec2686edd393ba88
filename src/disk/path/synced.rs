//! A write that is with the storage before it is answered: that of a client with O_SYNC or O_DSYNC, and
//! one with RWF_DSYNC. It is the write, then a flush of its own, which rules and counters see as any.

use std::sync::Arc;

use super::{Answer, Reply, Request};
use crate::disk::Disk;
use crate::protocol::Errno;

/// Answers a write once it is flushed; with the error of the flush where that fails.
pub struct Synced<R> {
    disk: Arc<Disk>,
    client: u64,
    data_only: bool,
    reply: R,
}

impl<R: Reply> Synced<R> {
    /// Answers a write of `client` through `reply`. With `data_only` metadata may stay behind.
    pub fn new(disk: &Arc<Disk>, client: u64, data_only: bool, reply: R) -> Self {
        Self {
            disk: Arc::clone(disk),
            client,
            data_only,
            reply,
        }
    }
}

impl<R: Reply> Reply for Synced<R> {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        let Ok(Answer::Done(written)) = result else {
            return self.reply.send(result);
        };
        let flush = Request::Flush {
            data_only: self.data_only,
        };
        let reply = Flushed {
            written,
            reply: self.reply,
        };
        // Wherever the write was answered: that thread may be one that must not wait.
        self.disk.submit(flush, self.client, false, reply);
    }
}

/// Answers a write of so many bytes as its flush ended.
struct Flushed<R> {
    written: u64,
    reply: R,
}

impl<R: Reply> Reply for Flushed<R> {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        self.reply.send(result.map(|_| Answer::Done(self.written)));
    }
}
