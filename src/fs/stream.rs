//! Files that are read as they grow: waiting for the next line, polling, letting go.

use std::sync::Arc;

use fuser::{Errno, FopenFlags, PollEvents, PollNotifier, ReplyData};

use crate::disk::{Listener, Wake};
use crate::proc;

/// A stream has no position, and nothing of it is cached.
pub(super) const OPEN_FLAGS: FopenFlags =
    FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_STREAM);

/// Who reads.
pub(super) struct Reader {
    /// The thread that waits for the answer.
    pub(super) pid: u32,
    /// Without a line it waits for one.
    pub(super) waits: bool,
}

impl Reader {
    /// Answers with what is there, or waits until there is something, the stream ends, or the reader
    /// is to end: nobody else could tell the kernel to let it go.
    pub(super) fn read(&self, listener: &Listener, size: u32, reply: ReplyData) {
        let patient = || self.waits && !proc::is_signalled(self.pid);
        match listener.read(size as usize, patient) {
            Some(text) => reply.data(&text),
            None if self.waits => reply.error(Errno::EINTR),
            None => reply.error(Errno::EAGAIN),
        }
    }
}

/// What a poll finds. Where there is nothing yet and it is `wanted`, the kernel is told later.
/// Whatever is no stream is always ready.
pub(super) fn ready(
    listener: Option<Arc<Listener>>,
    notifier: PollNotifier,
    wanted: bool,
) -> PollEvents {
    let readable = PollEvents::POLLIN | PollEvents::POLLRDNORM;
    let Some(listener) = listener else {
        return readable | PollEvents::POLLOUT | PollEvents::POLLWRNORM;
    };
    let wake = wanted.then(|| Box::new(move || drop(notifier.notify())) as Wake);
    match listener.is_ready(wake) {
        true => readable,
        false => PollEvents::empty(),
    }
}
