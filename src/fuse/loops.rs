//! Which loop thread does what, so that the mount is quick and the control files always answer.
//!
//! Waking a thread costs several times what a request costs. So while requests are short one of the
//! *active* threads takes them all, and looks out for the next one before it sleeps; the others are
//! parked. More of them wait for requests while these come faster than they are served, if there are
//! processors to spare, and all of them while requests take long: storage is slow, or there is much
//! to copy.
//!
//! One *spare* thread is parked as well. A watchdog wakes it when all active ones are stuck in storage;
//! it then answers what needs no storage and passes everything else to the pool, so that it is never
//! stuck itself.
//!
//! The end of the mount shows at the device only: a thread that waits there is told, a parked one is not.
//! So a thread parks only while another one that has been here before is not parked: that one lets all
//! others go when it ends.
//!
//! Each active thread alone changes its `turns`; `wanted`, `awake` and `state` change under the lock on
//! `state`.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::lookout::{Found, Lookout, Patience};

/// Threads that take part in a session beside the active ones.
const SPARE: usize = 1;
const FEWEST_ACTIVE: usize = 2;
const MOST_ACTIVE: usize = 8;
/// How often the watchdog looks. A thread that it finds twice in the same request is stuck.
const LOOK: Duration = Duration::from_millis(10);
/// How often the end looks whether a thread is still busy.
const CLOSE_LOOK: Duration = Duration::from_millis(1);
/// After so many looks that find nobody busy the watchdog sleeps until somebody is.
const IDLE_LOOKS: u32 = 100;
/// One request of so many is timed.
const TIMED: u64 = 8;
/// A request that takes longer is a long one.
const LONG: Duration = Duration::from_micros(60);
/// A long one weighs as much as so many short ones.
const WEIGHT: u32 = 8;
/// Requests are long once so much weight has come together.
const MANY: u32 = 4 * WEIGHT;

/// The watchdog sleeps; the thread that becomes busy wakes it.
const ASLEEP: u8 = 1;
/// The active threads do no work themselves any more.
const CLOSED: u8 = 2;

/// The loop threads of a session.
pub(super) struct Loops {
    /// By active thread.
    turns: Box<[Turns]>,
    /// How many active threads have been here and are not parked.
    awake: AtomicUsize,
    /// How many should not be: at least one.
    wanted: AtomicUsize,
    /// How many may be wanted while requests are short.
    most_for_short: usize,
    /// The weight of long requests, less the short ones since.
    long: AtomicU32,
    /// None where looking costs the client its processor.
    lookout: OnceLock<Lookout>,
    /// What a thread that becomes busy has to attend to: [`ASLEEP`], [`CLOSED`].
    attention: AtomicU8,
    /// What the watchdog does while a thread is stuck.
    on_stuck: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Disconnects at the end.
    over: Receiver<()>,
    /// Threads that have taken their role so far.
    roles: AtomicUsize,
    state: Mutex<State>,
    /// Something that parked threads wait for.
    changed: Condvar,
    /// Something that the watchdog waits for.
    noticed: Condvar,
}

/// How often a thread has become busy or free: odd while it is busy. On cache lines of its own: every
/// request writes to it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Turns(AtomicU64);

struct State {
    /// The active threads are stuck: the spare must serve.
    stuck: bool,
    /// Dropped when the session is over: nobody waits any more.
    running: Option<Sender<()>>,
}

impl State {
    fn ended(&self) -> bool {
        self.running.is_none()
    }
}

/// An active thread that does work which may take long, until this is dropped.
pub(super) struct Busy<'a> {
    loops: &'a Loops,
    turns: &'a Turns,
    /// When, if it is timed.
    since: Option<Instant>,
}

/// What a thread is in its session. When the first thread ends, so does the session.
struct Role {
    loops: Arc<Loops>,
    /// The active ones come first.
    number: usize,
    patience: Patience,
}

thread_local!(static ROLE: RefCell<Option<Role>> = const { RefCell::new(None) });

impl Turns {
    /// Which request its thread is busy with.
    fn busy(&self) -> Option<u64> {
        let turns = self.0.load(Ordering::SeqCst);
        (turns % 2 == 1).then_some(turns)
    }

    /// Its thread becomes busy; returns how often it has become that or free.
    fn begin(&self) -> u64 {
        // Only its own thread writes it.
        let turns = self.0.load(Ordering::Relaxed) + 1;
        // Before it looks whether the watchdog sleeps.
        self.0.store(turns, Ordering::SeqCst);
        turns
    }

    /// Its thread becomes free. Who does not see it yet takes it for busy a little longer.
    fn end(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

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
        let (running, over) = bounded(0);
        let loops = Arc::new(Self {
            turns: (0..active).map(|_| Turns::default()).collect(),
            awake: AtomicUsize::new(0),
            wanted: AtomicUsize::new(1),
            most_for_short,
            long: AtomicU32::new(0),
            lookout: OnceLock::new(),
            attention: AtomicU8::new(0),
            on_stuck: OnceLock::new(),
            over,
            roles: AtomicUsize::new(0),
            state: Mutex::new(State {
                stuck: false,
                running: Some(running),
            }),
            changed: Condvar::new(),
            noticed: Condvar::new(),
        });
        let watched = Arc::clone(&loops);
        let watchdog = std::thread::Builder::new().name("watchdog".into());
        watchdog.spawn(move || watched.watch())?;
        Ok(loops)
    }

    /// How many threads the session needs.
    pub(super) fn threads(&self) -> usize {
        self.turns.len() + SPARE
    }

    /// Lets threads look out for requests at `device`, unless there is but one processor for all.
    pub(super) fn look_out_at(&self, device: OwnedFd) {
        if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
            let _ = self.lookout.set(Lookout::new(device));
        }
    }

    /// Has the watchdog call `work` at each look at which a thread is stuck.
    pub(super) fn on_stuck(&self, work: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_stuck.set(Box::new(work));
    }

    /// Disconnects when the session is over.
    pub(super) fn over(&self) -> &Receiver<()> {
        &self.over
    }

    /// Permission for this loop thread to do the work itself; None when the work belongs on the
    /// pool, because this is the spare or the loops are closed.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Busy<'_>> {
        let number = ROLE.with_borrow_mut(|role| self.role(role).number);
        let turns = self.turns.get(number)?;
        let is_timed = turns.begin() / 2 % TIMED == 0;
        let attention = self.attention.load(Ordering::SeqCst);
        if attention != 0 && self.is_closed(attention) {
            turns.end();
            return None;
        }
        Some(Busy {
            loops: self,
            turns,
            since: is_timed.then(Instant::now),
        })
    }

    /// Attends to what is asked of a thread that became busy; returns whether it may do no work.
    #[cold]
    fn is_closed(&self, attention: u8) -> bool {
        if attention & ASLEEP != 0 {
            self.wake_watchdog();
        }
        attention & CLOSED != 0
    }

    /// From now on all work belongs on the pool. Returns when no loop thread is busy any more, which
    /// may take as long as storage takes.
    pub(super) fn close(&self) {
        // Before the looks: a thread is either seen to be busy, or sees this.
        self.attention.fetch_or(CLOSED, Ordering::SeqCst);
        while !self.nobody_busy() {
            std::thread::sleep(CLOSE_LOOK);
        }
    }

    /// To be called at the end of a request: parks this thread until it is needed, or looks out for
    /// the next request.
    pub(super) fn rest(self: &Arc<Self>) {
        ROLE.with_borrow_mut(|role| {
            let role = self.role(role);
            if role.number >= self.turns.len() {
                return self.park_spare();
            }
            if self.awake.load(Ordering::Relaxed) > self.wanted.load(Ordering::Relaxed) {
                return self.park(role.number);
            }
            if self.long.load(Ordering::Relaxed) >= MANY {
                return;
            }
            let lookout = self.lookout.get();
            match lookout.and_then(|lookout| lookout.look(&mut role.patience)) {
                Some(Found::Backlog) => {
                    let more = self.wanted.load(Ordering::Relaxed) + 1;
                    self.want(more.min(self.most_for_short));
                }
                Some(Found::Nothing) => self.want(1),
                _ => {}
            }
        });
    }

    /// Lets the parked threads and the watchdog go.
    pub(super) fn end(&self) {
        self.state.lock().running = None;
        self.changed.notify_all();
        self.noticed.notify_all();
    }

    /// Has `threads` active threads wait for requests. Those that are too many park after their next.
    fn want(&self, threads: usize) {
        if self.wanted.load(Ordering::Relaxed) != threads {
            let _state = self.state.lock();
            self.wanted.store(threads, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// Learns from the time that a request took how many threads are wanted.
    fn learn(&self, time: Duration) {
        let long = self.long.load(Ordering::Relaxed);
        let new = match time > LONG {
            true => (long + WEIGHT).min(2 * MANY),
            false if long == 0 => return,
            false => long - 1,
        };
        // One that is lost when two threads learn at once does not matter.
        self.long.store(new, Ordering::Relaxed);
        if new >= MANY {
            self.want(self.turns.len());
        } else if new == 0 {
            self.want(1);
        }
    }

    /// Parks this thread while others suffice. One that is busy may turn out to be stuck: it does not.
    fn park(&self, number: usize) {
        let others = self.turns.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != number);
        if others.any(|(_, turns)| turns.busy().is_some()) {
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

    fn park_spare(&self) {
        let mut state = self.state.lock();
        state.stuck &= self.turns.iter().all(|turns| turns.busy().is_some());
        while !state.stuck && !state.ended() {
            self.changed.wait(&mut state);
        }
    }

    fn watch(&self) {
        let busy = || self.turns.iter().map(Turns::busy).collect::<Vec<_>>();
        let (mut before, mut idle) = (busy(), 0);
        let mut state = self.state.lock();
        while !state.ended() {
            self.noticed.wait_for(&mut state, LOOK);
            let now = busy();
            let same = before.iter().zip(&now);
            let stuck = same.filter(|(before, now)| now.is_some() && before == now);
            let stuck = stuck.count();
            if let (1.., Some(on_stuck)) = (stuck, self.on_stuck.get()) {
                MutexGuard::unlocked(&mut state, on_stuck);
            }
            if stuck >= self.awake.load(Ordering::Relaxed).max(1) {
                self.help(&mut state);
            }
            idle = if self.nobody_busy() { idle + 1 } else { 0 };
            if idle >= IDLE_LOOKS {
                self.sleep(&mut state);
                idle = 0;
            }
            before = now;
        }
    }

    /// Wakes all active threads; the spare if they are awake.
    fn help(&self, state: &mut MutexGuard<'_, State>) {
        if self.wanted.load(Ordering::Relaxed) < self.turns.len() {
            self.wanted.store(self.turns.len(), Ordering::Relaxed);
            self.long.store(2 * MANY, Ordering::Relaxed);
        } else {
            state.stuck = true;
        }
        self.changed.notify_all();
    }

    /// Sleeps until somebody is busy. A thread that became busy before this one was seen to
    /// sleep is seen here: one of the two always notices the other.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        self.attention.fetch_or(ASLEEP, Ordering::SeqCst);
        while self.nobody_busy() && self.is_asleep() && !state.ended() {
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

    fn is_asleep(&self) -> bool {
        self.attention.load(Ordering::SeqCst) & ASLEEP != 0
    }

    fn nobody_busy(&self) -> bool {
        self.turns.iter().all(|turns| turns.busy().is_none())
    }

    /// What this thread is, which its first call decides; the spare's number is above those of the
    /// active ones.
    fn role<'a>(self: &Arc<Self>, role: &'a mut Option<Role>) -> &'a mut Role {
        role.get_or_insert_with(|| self.new_role())
    }

    #[cold]
    fn new_role(self: &Arc<Self>) -> Role {
        let _state = self.state.lock();
        let number = self.roles.fetch_add(1, Ordering::Relaxed);
        if number < self.turns.len() {
            self.awake.fetch_add(1, Ordering::Relaxed);
        }
        Role {
            number,
            loops: Arc::clone(self),
            patience: Patience::default(),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.turns.end();
        if let Some(since) = self.since {
            self.loops.learn(since.elapsed());
        }
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
    use std::thread::{JoinHandle, park, sleep, spawn};

    /// A thread that serves one request as a loop thread does, stuck in it if it may do the work
    /// itself until it is unparked, and rests. Tells what it was given, and that it has rested.
    fn request(loops: &Arc<Loops>) -> (JoinHandle<()>, Receiver<bool>) {
        let (tell, told) = channel();
        let loops = Arc::clone(loops);
        let run = move || {
            let busy = loops.enter();
            tell.send(busy.is_some()).unwrap();
            if busy.is_some() {
                park();
            }
            drop(busy);
            loops.rest();
            tell.send(false).unwrap();
            // Stays alive: the end of a thread is the end of the session.
            park();
        };
        (spawn(run), told)
    }

    fn next(told: &Receiver<bool>) -> Option<bool> {
        told.recv_timeout(Duration::from_millis(500)).ok()
    }

    /// A thread that has served a request and waits at the device.
    fn waiting(loops: &Arc<Loops>) {
        let (thread, told) = request(loops);
        assert_eq!(next(&told), Some(true));
        thread.thread().unpark();
        assert_eq!(next(&told), Some(false));
    }

    #[test]
    fn one_thread_suffices_until_it_is_stuck() {
        let loops = Loops::with_threads(2, 1).unwrap();
        waiting(&loops);
        let (second, told) = request(&loops);
        assert_eq!(next(&told), Some(true));
        second.thread().unpark();
        assert_eq!(next(&told), None, "two are awake: it parks");
        assert_eq!(loops.awake.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_only_thread_that_has_been_here_does_not_park_as_nobody_else_would_tell_it_the_end() {
        let loops = Loops::with_threads(4, 1).unwrap();
        waiting(&loops);
        assert_eq!(loops.awake.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn closed_loops_do_no_work_and_the_last_that_began_is_waited_for() {
        let loops = Loops::with_threads(2, 1).unwrap();
        let (last, told) = request(&loops);
        assert_eq!(next(&told), Some(true));
        let theirs = Arc::clone(&loops);
        let closing = spawn(move || theirs.close());
        sleep(CLOSE_LOOK * 20);
        assert!(!closing.is_finished());
        last.thread().unpark();
        closing.join().unwrap();
        let (_next, told) = request(&loops);
        assert_eq!(next(&told), Some(false), "it belongs on the pool");
    }

    #[test]
    fn each_look_at_a_stuck_thread_is_told_of() {
        let loops = Loops::with_threads(2, 1).unwrap();
        let (tell, told) = channel();
        loops.on_stuck(move || tell.send(true).unwrap());
        waiting(&loops);
        assert_eq!(told.recv_timeout(LOOK * 5).ok(), None);
        let (_stuck, is_stuck) = request(&loops);
        assert_eq!(next(&is_stuck), Some(true));
        assert_eq!((next(&told), next(&told)), (Some(true), Some(true)));
    }

    #[test]
    fn a_thread_that_is_stuck_brings_back_the_parked_ones_and_then_the_spare() {
        let loops = Loops::with_threads(2, 1).unwrap();
        let leading = Arc::clone(&loops);
        let (begin, begins) = channel();
        let leader = spawn(move || {
            drop(leading.enter());
            begins.recv().unwrap();
            let _stuck = leading.enter();
            begins.recv().unwrap();
        });
        while loops.awake.load(Ordering::SeqCst) == 0 {
            sleep(CLOSE_LOOK);
        }
        let parked = Arc::clone(&loops);
        let (tell, told) = channel();
        spawn(move || {
            drop(parked.enter());
            parked.rest();
            tell.send(true).unwrap();
            let _stuck = parked.enter();
            park();
        });
        assert_eq!(next(&told), None, "one of two is parked");
        begin.send(()).unwrap();
        assert_eq!(next(&told), Some(true), "it is needed: the leader is stuck");
        let (_spare, spare) = request(&loops);
        assert_eq!(next(&spare), Some(false), "the spare is to use the pool");
        assert_eq!(next(&spare), Some(false), "and serves while both are stuck");
        loops.end();
        begin.send(()).unwrap();
        leader.join().unwrap();
    }

    #[test]
    fn long_requests_want_all_threads_and_short_ones_a_single_one() {
        let loops = Loops::with_threads(4, 1).unwrap();
        let wanted = || loops.wanted.load(Ordering::SeqCst);
        for _ in 0..3 {
            loops.learn(LONG * 2);
        }
        assert_eq!(wanted(), 1, "few long ones are chance");
        loops.learn(LONG * 2);
        assert_eq!(wanted(), 4);
        for _ in 1..MANY {
            loops.learn(LONG / 2);
        }
        assert_eq!(wanted(), 4);
        loops.learn(LONG / 2);
        assert_eq!(wanted(), 1);
    }

    #[test]
    fn the_watchdog_sleeps_when_nobody_is_busy_and_wakes_when_somebody_is() {
        let loops = Loops::with_threads(1, 1).unwrap();
        let asleep = || loops.is_asleep();
        while !asleep() {
            sleep(LOOK);
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
    fn the_end_of_one_thread_wakes_the_others() {
        let loops = Loops::with_threads(1, 1).unwrap();
        let theirs = Arc::clone(&loops);
        spawn(move || drop(theirs.enter())).join().unwrap();
        assert!(loops.state.lock().ended());
    }
}
