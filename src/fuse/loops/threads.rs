//! The state that the loop threads and the watchdog share: which threads are busy, awake, wanted and parked.
//!
//! `wanted`, `awake` and `state` change only under the lock on `state`. The end of the mount shows at the
//! device only: the kernel wakes a thread that waits there, not a parked one. So a thread parks only while
//! another one that has served before is not parked: that one wakes all others when it ends.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::activity::Activity;
use super::long_requests::{Lately, LongRequests};

/// How often [`Threads::close`] looks whether a thread is still busy.
pub(super) const CLOSE_LOOK: Duration = Duration::from_millis(1);

/// A bit of `attention`: the watchdog sleeps, and the thread that becomes busy wakes it.
const ASLEEP: u8 = 1;
/// A bit of `attention`: the active threads do no work themselves any more.
const CLOSED: u8 = 2;

/// The threads of a session.
pub(super) struct Threads {
    pub(super) activity: Activity,
    /// How many active threads have served before and are not parked.
    pub(super) awake: AtomicUsize,
    /// How many should not be parked: at least one.
    pub(super) wanted: AtomicUsize,
    /// How many may be wanted while requests are short.
    most_for_short: usize,
    long_requests: LongRequests,
    /// Bits that a thread which becomes busy attends to: [`ASLEEP`], [`CLOSED`].
    attention: AtomicU8,
    /// How many threads have joined.
    joined: AtomicUsize,
    pub(super) state: Mutex<State>,
    /// Parked threads wait for this.
    changed: Condvar,
    /// The watchdog waits for this.
    pub(super) noticed: Condvar,
}

pub(super) struct State {
    /// The active threads are stuck: the spare must serve.
    stuck: bool,
    /// Dropped when the session is over: no thread waits any more.
    running: Option<Sender<()>>,
}

impl State {
    pub(super) fn ended(&self) -> bool {
        self.running.is_none()
    }
}

impl Threads {
    /// The receiver of `running` disconnects at the end.
    pub(super) fn new(active: usize, most_for_short: usize, running: Sender<()>) -> Self {
        Self {
            activity: Activity::of(active),
            awake: AtomicUsize::new(0),
            wanted: AtomicUsize::new(1),
            most_for_short,
            long_requests: LongRequests::default(),
            attention: AtomicU8::new(0),
            joined: AtomicUsize::new(0),
            state: Mutex::new(State {
                stuck: false,
                running: Some(running),
            }),
            changed: Condvar::new(),
            noticed: Condvar::new(),
        }
    }

    /// Takes the calling thread in. Returns its number; the spare has one above those of the active ones.
    #[cold]
    pub(super) fn join(&self) -> usize {
        let _state = self.state.lock();
        let number = self.joined.fetch_add(1, Ordering::Relaxed);
        if number < self.activity.threads() {
            self.awake.fetch_add(1, Ordering::Relaxed);
        }
        number
    }

    /// Wakes the parked threads and the watchdog for good.
    pub(super) fn end(&self) {
        self.state.lock().running = None;
        self.changed.notify_all();
        self.noticed.notify_all();
    }

    /// Whether a thread that has just become busy must not do the work itself.
    pub(super) fn is_closed(&self) -> bool {
        let attention = self.attention.load(Ordering::SeqCst);
        attention != 0 && self.attend_to(attention)
    }

    #[cold]
    fn attend_to(&self, attention: u8) -> bool {
        if attention & ASLEEP != 0 {
            self.wake_watchdog();
        }
        attention & CLOSED != 0
    }

    /// From now on all work belongs on the pool. Returns when no active thread is busy any more, which
    /// may take as long as the storage takes.
    pub(super) fn close(&self) {
        // Before the looks: a thread is either seen to be busy, or sees this.
        self.attention.fetch_or(CLOSED, Ordering::SeqCst);
        while !self.activity.all_are_free() {
            std::thread::sleep(CLOSE_LOOK);
        }
    }

    /// Whether requests take long lately.
    pub(super) fn requests_are_long(&self) -> bool {
        self.long_requests.are_many()
    }

    /// Learns from the time that a request took how many threads are wanted.
    pub(super) fn learn(&self, time: Duration) {
        match self.long_requests.note(time) {
            Lately::Long => self.want(self.activity.threads()),
            Lately::ShortAgain => self.want(1),
            Lately::AsBefore => {}
        }
    }

    /// Has `threads` active threads wait for requests. Others park after their next request.
    pub(super) fn want(&self, threads: usize) {
        if self.wanted.load(Ordering::Relaxed) != threads {
            let _state = self.state.lock();
            self.wanted.store(threads, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// Has one more wait, as far as short requests may have it.
    pub(super) fn want_one_more(&self) {
        let more = self.wanted.load(Ordering::Relaxed) + 1;
        self.want(more.min(self.most_for_short));
    }

    /// Whether more active threads are awake than wanted.
    pub(super) fn are_too_many(&self) -> bool {
        self.awake.load(Ordering::Relaxed) > self.wanted.load(Ordering::Relaxed)
    }

    /// Parks the active thread `number` while the others suffice. It does not park while another one is
    /// busy, which may turn out to be stuck.
    pub(super) fn park(&self, number: usize) {
        if self.activity.another_is_busy(number) {
            return;
        }
        let mut state = self.state.lock();
        let more_than_wanted =
            |awake: usize| awake > self.wanted.load(Ordering::Relaxed) && awake > 1;
        if !more_than_wanted(self.awake.load(Ordering::Relaxed)) {
            return;
        }
        self.awake.fetch_sub(1, Ordering::Relaxed);
        while more_than_wanted(self.awake.load(Ordering::Relaxed) + 1) && !state.ended() {
            self.changed.wait(&mut state);
        }
        self.awake.fetch_add(1, Ordering::Relaxed);
    }

    /// Parks the spare thread until all active ones are stuck.
    pub(super) fn park_spare(&self) {
        let mut state = self.state.lock();
        state.stuck &= self.activity.all_are_busy();
        while !state.stuck && !state.ended() {
            self.changed.wait(&mut state);
        }
    }

    /// For the watchdog: all threads that are awake are stuck. Wakes all active ones, or the spare if
    /// they are awake already.
    pub(super) fn help(&self, state: &mut MutexGuard<'_, State>) {
        if self.wanted.load(Ordering::Relaxed) < self.activity.threads() {
            self.wanted
                .store(self.activity.threads(), Ordering::Relaxed);
            self.long_requests.assume_many();
        } else {
            state.stuck = true;
        }
        self.changed.notify_all();
    }

    /// For the watchdog: sleeps until a thread is busy. A thread that became busy before it could see
    /// that the watchdog sleeps is seen here: one of the two always notices the other.
    pub(super) fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        self.attention.fetch_or(ASLEEP, Ordering::SeqCst);
        while self.activity.all_are_free() && self.is_asleep() && !state.ended() {
            self.noticed.wait(state);
        }
        self.attention.fetch_and(!ASLEEP, Ordering::SeqCst);
    }

    #[cold]
    fn wake_watchdog(&self) {
        // Under the lock: the watchdog is either before its look at `is_asleep`, or waits.
        let _state = self.state.lock();
        self.attention.fetch_and(!ASLEEP, Ordering::SeqCst);
        self.noticed.notify_all();
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.attention.load(Ordering::SeqCst) & ASLEEP != 0
    }
}
