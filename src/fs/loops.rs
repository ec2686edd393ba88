//! Which loop thread does what, so that the mount is quick and the control files always answer.
//!
//! The kernel hands requests to the waiting threads in turn, and waking another one each time
//! costs more than the request. So only a few *active* threads wait, and do the work themselves.
//! One *spare* thread is parked. A watchdog wakes it when the active ones are stuck in storage; it
//! then answers what needs no storage and passes everything else to the pool, so that it is never
//! stuck itself.
//!
//! Each active thread has a `busy` flag of its own; `state` is the watchdog's, the spare's and the end's.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Threads that take part in a session beside the active ones.
const SPARE: usize = 1;
const FEWEST_ACTIVE: usize = 2;
const MOST_ACTIVE: usize = 8;
/// How often the watchdog looks. Two looks in a row that find no active thread free wake the spare.
const LOOK: Duration = Duration::from_millis(20);
/// After so many looks that find nobody busy the watchdog sleeps until somebody is.
const IDLE_LOOKS: u32 = 50;

/// The loop threads of a session.
#[derive(Debug)]
pub(super) struct Loops {
    /// By active thread.
    busy: Box<[Flag]>,
    /// The watchdog sleeps; whoever becomes busy wakes it.
    is_asleep: AtomicBool,
    /// Threads that have taken their role so far.
    roles: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

/// Whether a thread is busy. On cache lines of its own: every request writes to it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

#[derive(Debug, Default)]
struct State {
    /// The active threads are stuck: the spare must serve.
    stuck: bool,
    /// The session is over: nobody waits any more.
    ended: bool,
}

/// An active thread that does work which may take long, until this is dropped.
pub(super) struct Busy<'a>(&'a Flag);

/// What a thread is in its session. When the first thread ends, so does the session.
struct Role {
    loops: Arc<Loops>,
    /// The active ones come first.
    number: usize,
}

thread_local!(static ROLE: RefCell<Option<Role>> = const { RefCell::new(None) });

/// How many threads wait for requests: as many as there are processors, within reason.
pub(super) fn active_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.clamp(FEWEST_ACTIVE, MOST_ACTIVE)
}

impl Loops {
    /// For this machine. The watchdog runs until [`end`](Self::end).
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        Self::with_active(active_threads())
    }

    fn with_active(active: usize) -> std::io::Result<Arc<Self>> {
        let loops = Arc::new(Self {
            busy: (0..active).map(|_| Flag::default()).collect(),
            is_asleep: AtomicBool::new(false),
            roles: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let watched = Arc::clone(&loops);
        let watchdog = std::thread::Builder::new().name("watchdog".into());
        watchdog.spawn(move || watched.watch())?;
        Ok(loops)
    }

    /// How many threads the session needs.
    pub(super) fn threads(&self) -> usize {
        self.busy.len() + SPARE
    }

    /// Permission for this loop thread to do the work itself; None when the work belongs on the
    /// pool, because this is the spare.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Busy<'_>> {
        let flag = self.busy.get(self.number())?;
        flag.0.store(true, Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst) {
            self.wake_watchdog();
        }
        Some(Busy(flag))
    }

    /// To be called at the end of a request: parks the spare until it is needed.
    pub(super) fn rest(self: &Arc<Self>) {
        if self.number() < self.busy.len() {
            return;
        }
        let mut state = self.state.lock();
        state.stuck &= self.all_busy();
        while !state.stuck && !state.ended {
            self.changed.wait(&mut state);
        }
    }

    /// Lets the spare and the watchdog go.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    fn all_busy(&self) -> bool {
        self.busy.iter().all(|flag| flag.0.load(Ordering::SeqCst))
    }

    fn watch(&self) {
        let (mut stuck, mut idle) = (0, 0);
        let mut state = self.state.lock();
        while !state.ended {
            self.changed.wait_for(&mut state, LOOK);
            stuck = if self.all_busy() { stuck + 1 } else { 0 };
            if stuck >= 2 && !state.stuck {
                state.stuck = true;
                self.changed.notify_all();
            }
            idle = if self.nobody_busy() { idle + 1 } else { 0 };
            if idle >= IDLE_LOOKS {
                self.sleep(&mut state);
                idle = 0;
            }
        }
    }

    /// Sleeps until somebody is busy. Who became busy before this thread was seen to sleep is seen
    /// here: one of the two always notices the other.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        self.is_asleep.store(true, Ordering::SeqCst);
        while self.nobody_busy() && self.is_asleep.load(Ordering::SeqCst) && !state.ended {
            self.changed.wait(state);
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    #[cold]
    fn wake_watchdog(&self) {
        // Under the lock: the watchdog is either before its look at `is_asleep`, or waits.
        let _state = self.state.lock();
        self.is_asleep.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    fn nobody_busy(&self) -> bool {
        self.busy.iter().all(|flag| !flag.0.load(Ordering::SeqCst))
    }

    /// This thread's number, which its first call gives it; the spare's is above those of the active
    /// ones.
    fn number(self: &Arc<Self>) -> usize {
        ROLE.with_borrow_mut(|role| {
            let role = role.get_or_insert_with(|| Role {
                number: self.roles.fetch_add(1, Ordering::Relaxed),
                loops: Arc::clone(self),
            });
            role.number
        })
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.loops.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// A thread that enters and rests, as a loop thread does; tells what it was given.
    fn request(loops: &Arc<Loops>) -> (std::thread::JoinHandle<()>, Receiver<bool>) {
        let (tell, told) = channel();
        let loops = Arc::clone(loops);
        let run = move || {
            let busy = loops.enter();
            tell.send(busy.is_some()).unwrap();
            if busy.is_some() {
                std::thread::park(); // Stuck until the test lets it go.
            }
            drop(busy);
            loops.rest();
            tell.send(false).unwrap();
            // Stays alive: the end of a thread is the end of the session.
            std::thread::park();
        };
        (std::thread::spawn(run), told)
    }

    fn next(told: &Receiver<bool>) -> Option<bool> {
        told.recv_timeout(Duration::from_millis(500)).ok()
    }

    #[test]
    fn the_spare_sleeps_until_all_others_are_stuck() {
        let loops = Loops::with_active(2).unwrap();
        let (_first, first) = request(&loops);
        assert_eq!(next(&first), Some(true));
        let (second_thread, second) = request(&loops);
        assert_eq!(next(&second), Some(true));
        second_thread.thread().unpark();
        assert_eq!(next(&second), Some(false), "an active thread does not rest");
        let (_spare, spare) = request(&loops);
        assert_eq!(next(&spare), Some(false), "the spare is to use the pool");
        assert_eq!(
            next(&spare),
            None,
            "and sleeps while another thread is free"
        );
        loops.busy[1].0.store(true, Ordering::Relaxed);
        assert_eq!(next(&spare), Some(false), "it wakes when none is");
        loops.end();
    }

    #[test]
    fn the_watchdog_sleeps_when_nobody_is_busy_and_wakes_when_somebody_is() {
        let loops = Loops::with_active(1).unwrap();
        let asleep = || loops.is_asleep.load(Ordering::SeqCst);
        while !asleep() {
            std::thread::sleep(LOOK);
        }
        let (_active, active) = request(&loops);
        assert_eq!(next(&active), Some(true));
        assert!(!asleep());
        let (_spare, spare) = request(&loops);
        assert_eq!(next(&spare), Some(false));
        assert_eq!(
            next(&spare),
            Some(false),
            "the active one is seen to be stuck"
        );
        loops.end();
    }

    #[test]
    fn the_end_of_one_thread_wakes_the_spare() {
        let loops = Loops::with_active(1).unwrap();
        let theirs = Arc::clone(&loops);
        std::thread::spawn(move || drop(theirs.enter()))
            .join()
            .unwrap();
        assert!(loops.state.lock().ended);
    }
}
