//! The roles of the loop threads, so that the mount is quick and the control files always answer.
//!
//! To wake a thread costs several times what a request costs. So while requests are short, one of the
//! *active* threads takes them all, and polls for the next one before it sleeps; the others are parked. More
//! threads wait for requests while these arrive faster than they are served, if processors are free. All of them
//! wait while requests take long: storage is slow, or there is much to copy.
//!
//! One *spare* thread is parked as well. A watchdog wakes it when all active threads are stuck in storage.
//! It then answers what needs no storage and passes everything else to the pool, so that it is never stuck
//! itself.

mod activity;
mod busy_poll;
mod long_requests;
#[cfg(test)]
mod tests;
mod threads;
mod watchdog;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};

use activity::ActivityEpoch;
use busy_poll::{Backoff, BusyPoll, Found};
use threads::Threads;

use crate::os::thread;

/// Threads of a session beside the active ones.
const SPARE: usize = 1;
const FEWEST_ACTIVE: usize = 2;
const MOST_ACTIVE: usize = 8;
/// One request of this many is timed.
const TIMED: u64 = 8;
/// Clients would wait for ever for what such threads do: those of fuser, whose names are longer, and the single ones.
const NEEDED: [&str; 6] = [
    "fuser-",
    "watchdog",
    "delays",
    "streams",
    "page-cache",
    "mounts",
];

/// The loop threads of a session.
pub(super) struct Loops {
    threads: Threads,
    /// None where polling would take the client's only processor.
    busy_poll: OnceLock<BusyPoll>,
    /// The watchdog calls it while a thread is stuck.
    on_stuck: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Disconnects at the end.
    over: Receiver<()>,
}

/// An active thread that does work which may take long, until this is dropped.
pub(super) struct Busy<'a> {
    threads: &'a Threads,
    epoch: &'a ActivityEpoch,
    /// When it began, if it is timed.
    since: Option<Instant>,
}

/// The part of a thread in its session. When the first thread ends, so does the session.
struct Role {
    loops: Arc<Loops>,
    /// The active ones come first.
    number: usize,
    backoff: Backoff,
}

thread_local!(static ROLE: RefCell<Option<Role>> = const { RefCell::new(None) });

impl Loops {
    /// For this machine. The watchdog runs until [`end`](Self::end).
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // A client needs one too.
        Self::with_threads(
            processors.clamp(FEWEST_ACTIVE, MOST_ACTIVE),
            (processors - 1).clamp(1, MOST_ACTIVE),
        )
    }

    fn with_threads(active: usize, most_for_short: usize) -> std::io::Result<Arc<Self>> {
        let loops = Self::unwatched(active, most_for_short);
        loops.watch()?;
        Ok(loops)
    }

    fn unwatched(active: usize, most_for_short: usize) -> Arc<Self> {
        let (running, over) = bounded(0);
        Arc::new(Self {
            threads: Threads::new(active, most_for_short, running),
            busy_poll: OnceLock::new(),
            on_stuck: OnceLock::new(),
            over,
        })
    }

    /// Starts the watchdog.
    fn watch(self: &Arc<Self>) -> std::io::Result<()> {
        let watched = Arc::clone(self);
        let on_stuck = |loops: &Self| {
            if let Some(work) = loops.on_stuck.get() {
                work();
            }
        };
        let watch = move || watchdog::watch(&watched.threads, || on_stuck(&watched));
        let watchdog = std::thread::Builder::new().name("watchdog".into());
        watchdog.spawn(watch)?;
        Ok(())
    }

    /// How many threads the session needs.
    pub(super) fn threads(&self) -> usize {
        self.threads.activity.threads() + SPARE
    }

    /// Lets threads poll for requests at `device`, if the machine has more than one processor.
    pub(super) fn poll_at(&self, device: OwnedFd) {
        if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
            let _ = self.busy_poll.set(BusyPoll::new(device));
        }
    }

    /// Has the watchdog call `work` at each look at which a thread is stuck.
    pub(super) fn on_stuck(&self, work: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_stuck.set(Box::new(work));
    }

    /// Has the session end if a thread panics without which clients would wait for ever. A thread of fuser would show its
    /// end by its role, but has none in its first request.
    pub(super) fn end_at_panics(self: &Arc<Self>) {
        let loops = Arc::downgrade(self);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            let name = thread::own_name();
            if let Some(loops) = loops.upgrade()
                && NEEDED.iter().any(|needed| name.starts_with(needed))
            {
                // The thread that panics may hold the lock that this takes.
                let _ = thread::start(c"end", move || loops.end());
            }
        }));
    }

    /// Disconnects when the session is over.
    pub(super) fn over(&self) -> &Receiver<()> {
        &self.over
    }

    /// Permission for this loop thread to do the work itself; None when the work belongs on the
    /// pool, because this is the spare or the loops are closed.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Busy<'_>> {
        let number = ROLE.with_borrow_mut(|role| self.role(role).number);
        let epoch = self.threads.activity.epoch(number)?;
        let is_timed = epoch.begin() / 2 % TIMED == 0;
        if self.threads.is_closed() {
            epoch.end();
            return None;
        }
        Some(Busy {
            threads: &self.threads,
            epoch,
            since: is_timed.then(Instant::now),
        })
    }

    /// From now on all work belongs on the pool. Returns when no loop thread is busy any more, which
    /// may take as long as the storage takes.
    pub(super) fn close(&self) {
        self.threads.close();
    }

    /// Call it at the end of a request: parks this thread until it is needed, or polls for the next
    /// request.
    pub(super) fn rest(self: &Arc<Self>) {
        let threads = &self.threads;
        ROLE.with_borrow_mut(|role| {
            let role = self.role(role);
            if role.number >= threads.activity.threads() {
                return threads.park_spare();
            }
            if threads.are_too_many() {
                return threads.park(role.number);
            }
            if threads.requests_are_long() {
                return;
            }
            let busy_poll = self.busy_poll.get();
            match busy_poll.and_then(|busy_poll| busy_poll.poll(&mut role.backoff)) {
                Some(Found::Backlog) => threads.want_one_more(),
                Some(Found::Nothing) => threads.want(1),
                Some(Found::Request) | None => {}
            }
        });
    }

    /// Wakes the parked threads and the watchdog for good.
    pub(super) fn end(&self) {
        self.threads.end();
    }

    /// The role of this thread, which its first call decides.
    fn role<'a>(self: &Arc<Self>, role: &'a mut Option<Role>) -> &'a mut Role {
        role.get_or_insert_with(|| self.new_role())
    }

    #[cold]
    fn new_role(self: &Arc<Self>) -> Role {
        Role {
            number: self.threads.join(),
            loops: Arc::clone(self),
            backoff: Backoff::default(),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.epoch.end();
        if let Some(since) = self.since {
            self.threads.learn(since.elapsed());
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.loops.end();
    }
}
