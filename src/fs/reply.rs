//! The way back to the kernel for each kind of request. Dropped unsent, each answers EIO.

use fuser::{ReplyData, ReplyEmpty, ReplyWrite};

use crate::disk::{Answer, Reply};
use crate::fault::Errno;

/// The kernel's type for an error number.
pub(super) fn kernel(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}

/// Answers a read.
pub(super) struct ReadReply(pub(super) ReplyData);

impl Reply for ReadReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(Answer::Data(data)) => self.0.data(data),
            Ok(Answer::Done) => self.0.data(&[]),
            Err(errno) => self.0.error(kernel(errno)),
        }
    }
}

/// Answers a write of so many bytes.
pub(super) struct WriteReply(pub(super) ReplyWrite, pub(super) u32);

impl Reply for WriteReply {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        match result {
            Ok(_) => self.0.written(self.1),
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
