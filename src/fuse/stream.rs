//! Files that are read as they grow. Their reads wait for the next line without a thread each.
//!
//! One thread answers all of them. It also releases a reader that a signal is to end: the kernel waits for our
//! answer even then, and fuser does not pass on its interrupt requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{Errno, ReplyData};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disk::{Due, Listener};
use crate::os::{proc, thread};

/// How often the thread looks whether a signal waits for a reader.
const LOOK: Duration = Duration::from_millis(50);
/// How long a reader waits whose signals cannot be seen. It then gets EINTR: cat and similar programs try
/// again, unless a signal ends them.
const BLIND: Duration = Duration::from_millis(500);
/// How long the thread stays without a read. One that follows a stream has its next read soon.
const STAYS: Duration = Duration::from_secs(1);

/// A read without an answer.
pub(super) struct Read {
    pub(super) listener: Arc<Listener>,
    /// The thread that waits for the answer; 0 if it is in a PID namespace that we do not see.
    pub(super) pid: u32,
    pub(super) size: u32,
    /// Whether it waits while there is no line; otherwise it gets EAGAIN.
    pub(super) waits: bool,
    pub(super) reply: ReplyData,
}

/// The reads of all streams of a mount.
#[derive(Default)]
pub(super) struct Streams {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    reads: Vec<(Read, Instant)>,
    /// There may be a new line.
    has_news: bool,
    has_thread: bool,
}

impl Streams {
    /// Answers the read once there is a line, the stream ends, or a signal is to end the reader. If no thread
    /// can be started, the read is dropped, which answers EIO.
    pub(super) fn answer(self: &Arc<Self>, read: Read) {
        let mut state = self.state.lock();
        state.reads.push((read, Instant::now()));
        state.has_news = true;
        self.changed.notify_all();
        if std::mem::replace(&mut state.has_thread, true) {
            return;
        }
        let streams = Arc::clone(self);
        if thread::start(c"streams", move || streams.serve()).is_err() {
            state.has_thread = false;
            state.reads.clear();
        }
    }

    /// Serves until no read has waited for a while.
    fn serve(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let mut ends = Instant::now() + STAYS;
        while !state.reads.is_empty() || Instant::now() < ends {
            state.has_news = false;
            let reads = std::mem::take(&mut state.reads);
            let mut next_look = ends;
            if !reads.is_empty() {
                let now = Instant::now();
                (ends, next_look) = (now + STAYS, now + LOOK);
            }
            let waiting = MutexGuard::unlocked(&mut state, || {
                let reads = reads.into_iter();
                let answered = reads.map(|(read, since)| (self.try_answer(read, since), since));
                let waiting = answered.filter_map(|(answered, since)| {
                    let (read, due) = answered?;
                    next_look = next_look.min(due.unwrap_or(next_look));
                    Some((read, since))
                });
                waiting.collect::<Vec<_>>()
            });
            state.reads.extend(waiting);
            if !state.has_news {
                self.changed.wait_until(&mut state, next_look);
            }
        }
        state.has_thread = false;
    }

    /// Returns the read if it has to wait longer, with the moment when it is due if that is known.
    fn try_answer(self: &Arc<Self>, read: Read, since: Instant) -> Option<(Read, Option<Instant>)> {
        let streams = Arc::clone(self);
        let wake = Box::new(move || streams.wake());
        let size = read.size as usize;
        let due = match read.waits {
            true => read.listener.due(size, Instant::now(), wake),
            false => Due::Now,
        };
        match due {
            Due::Now => {
                match read.listener.read(size) {
                    Some(text) => read.reply.data(&text),
                    None => read.reply.error(Errno::EAGAIN),
                }
                None
            }
            // It has an answer before a signal would be looked for.
            Due::At(when) => Some((read, Some(when))),
            Due::Woken => {
                let is_to_end = proc::is_signalled(read.pid).unwrap_or(since.elapsed() >= BLIND);
                if is_to_end {
                    read.reply.error(Errno::EINTR);
                    return None;
                }
                Some((read, None))
            }
        }
    }

    fn wake(&self) {
        self.state.lock().has_news = true;
        self.changed.notify_all();
    }
}
