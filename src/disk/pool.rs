//! Threads for work that may take as long as storage takes: as many as needed, up to a bound, shared
//! fairly.
//!
//! Each job has an owner. Storage that hangs holds the threads of its owner's jobs for as long as it
//! hangs; so an owner gets one more thread only while more are free than it has, and some stay free
//! for owners that have none.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::path::LARGEST_REQUEST;
use crate::os::thread;
use crate::storage::with_buffer;

/// What a job does.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// An owner of jobs. Owners share the threads fairly.
pub type Owner = u64;

/// Threads of the pool that data requests use.
const MOST_THREADS: usize = 32;
/// As many are started before their jobs come.
const READY_THREADS: usize = 8;
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(5);

/// A pool that grows while jobs wait and shrinks when idle.
pub struct Pool(Arc<Shared>);

struct Shared {
    /// How many threads there are at most.
    most: usize,
    state: Mutex<State>,
    /// Idle threads wait for this.
    has_job: Condvar,
    /// The end waits for this.
    is_idle: Condvar,
}

#[derive(Default)]
struct State {
    queues: HashMap<Owner, Queue>,
    threads: usize,
    idle: usize,
    /// Jobs begun so far.
    turns: u64,
    owners: Owner,
    ended: bool,
}

/// The jobs of an owner; there is none without a job.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    running: usize,
    /// The turn in which it began one last.
    latest: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(MOST_THREADS)
    }
}

impl Pool {
    /// A pool of at most `most` threads, without any yet.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            state: Mutex::default(),
            has_job: Condvar::new(),
            is_idle: Condvar::new(),
        }))
    }

    /// Starts a thread, so that there is always one.
    pub fn begin(&self) -> io::Result<()> {
        self.0.state.lock().threads += 1;
        self.0.start_thread(|| ())
    }

    /// A number that no other owner has.
    pub fn new_owner(&self) -> Owner {
        let mut state = self.0.state.lock();
        state.owners += 1;
        state.owners
    }

    /// Runs `work` of `owner` on some thread of the pool, as soon as it is its turn. Drops it after the
    /// end, and where no thread can be started.
    pub fn run(&self, owner: Owner, work: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state.lock();
        if state.ended {
            drop(state);
            return drop(work);
        }
        let queue = state.queues.entry(owner).or_default();
        queue.waiting.push_back(Box::new(work));
        self.0.grow(state);
    }

    /// Starts a thread ahead of `jobs` that will come at one moment, unless there are enough.
    pub fn expect(&self, jobs: usize) {
        let mut state = self.0.state.lock();
        if !state.ended && state.threads < jobs.min(READY_THREADS).min(self.0.most) {
            state.threads += 1;
            drop(state);
            // One less does no harm: each job starts the thread that it needs.
            let _ = self.0.start_thread(prepare_thread);
        }
    }

    /// Takes no more jobs and returns when all that it took are done.
    pub fn end(&self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        while !state.queues.is_empty() {
            self.0.is_idle.wait(&mut state);
        }
    }
}

impl State {
    fn free(&self, most: usize) -> usize {
        let running = |queue: &Queue| queue.running;
        most.saturating_sub(self.queues.values().map(running).sum())
    }

    /// The owner whose turn it is: of those that may begin a job the one that has the fewest
    /// threads, and of these the one that had to wait longest.
    fn next_owner(&self, most: usize) -> Option<Owner> {
        let free = self.free(most);
        let kept = most / 4;
        let may_begin = |queue: &Queue| match queue.running {
            0 => free > 0,
            running => running + kept < free,
        };
        let queues = self.queues.iter();
        let ready = queues.filter(|(_, queue)| !queue.waiting.is_empty() && may_begin(queue));
        let next = ready.min_by_key(|(_, queue)| (queue.running, queue.latest));
        next.map(|(owner, _)| *owner)
    }

    fn begin_next(&mut self, most: usize) -> Option<(Owner, Work)> {
        let owner = self.next_owner(most)?;
        let queue = self.queues.get_mut(&owner)?;
        let work = queue.waiting.pop_front()?;
        self.turns += 1;
        queue.running += 1;
        queue.latest = self.turns;
        Some((owner, work))
    }

    fn finish(&mut self, owner: Owner) {
        if let Some(queue) = self.queues.get_mut(&owner) {
            queue.running -= 1;
            if queue.running == 0 && queue.waiting.is_empty() {
                self.queues.remove(&owner);
            }
        }
    }
}

impl Shared {
    /// Sees to a thread for the next job, if there is one whose turn it is.
    fn grow(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.next_owner(self.most).is_none() {
            return;
        }
        if state.idle > 0 {
            self.has_job.notify_one();
        } else if state.threads < self.most {
            state.threads += 1;
            drop(state);
            if self.start_thread(|| ()).is_err() {
                self.drop_orphans();
            }
        }
    }

    /// Starts a thread, which is counted already, that does `first` before it takes jobs.
    fn start_thread(self: &Arc<Self>, first: fn()) -> io::Result<()> {
        let shared = Arc::clone(self);
        let started = thread::start(c"worker", move || {
            first();
            shared.work();
        });
        if started.is_err() {
            self.state.lock().threads -= 1;
        }
        started
    }

    /// A thread could not be started. Without any the jobs would wait for ever: dropping them
    /// answers EIO.
    fn drop_orphans(&self) {
        let mut state = self.state.lock();
        if state.threads == 0 {
            let dropped = std::mem::take(&mut state.queues);
            self.is_idle.notify_all();
            drop(state);
            drop(dropped);
        }
    }

    fn work(self: &Arc<Self>) {
        let mut done = None;
        while let Some((owner, work)) = self.next(done) {
            // A panic must not take the thread from the count; the job's reply answers EIO.
            let _ = catch_unwind(AssertUnwindSafe(work));
            done = Some(owner);
        }
    }

    /// Ends the job of `done` and begins another one; None when this thread has left the pool.
    fn next(self: &Arc<Self>, done: Option<Owner>) -> Option<(Owner, Work)> {
        let mut state = self.state.lock();
        if let Some(owner) = done {
            state.finish(owner);
            if state.queues.is_empty() {
                self.is_idle.notify_all();
            }
        }
        loop {
            if let Some((owner, work)) = state.begin_next(self.most) {
                // The job that ended may have made room for more than this one.
                self.grow(state);
                return Some((owner, work));
            }
            state.idle += 1;
            let is_late = match state.threads {
                // The last one stays: another one might not start when it is needed.
                1 => {
                    self.has_job.wait(&mut state);
                    false
                }
                _ => self.has_job.wait_for(&mut state, IDLE).timed_out(),
            };
            state.idle -= 1;
            if is_late && state.threads > 1 && state.next_owner(self.most).is_none() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

/// Gets the buffer of this thread ready, so that its first read waits for no memory.
fn prepare_thread() {
    with_buffer(LARGEST_REQUEST as usize, |_| ());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

    /// A pool of 12 threads whose jobs hang until `let_go` is dropped.
    struct Bench {
        pool: Pool,
        tx: Sender<Owner>,
        begun: Receiver<Owner>,
        hang: Receiver<()>,
    }

    impl Bench {
        fn new() -> (Self, Sender<()>) {
            let (tx, begun) = unbounded();
            let (let_go, hang) = bounded(0);
            let pool = Pool::new(12);
            let bench = Self {
                pool,
                tx,
                begun,
                hang,
            };
            (bench, let_go)
        }

        fn hang(&self, owner: Owner) {
            let (tx, hang) = (self.tx.clone(), self.hang.clone());
            self.pool.run(owner, move || {
                tx.send(owner).unwrap();
                assert!(hang.recv().is_err());
            });
        }

        fn next(&self) -> Owner {
            self.begun.recv_timeout(Duration::from_secs(60)).unwrap()
        }
    }

    #[test]
    fn jobs_that_hang_delay_none_of_another_owner() {
        let (bench, _let_go) = Bench::new();
        for _ in 0..100 {
            bench.hang(1);
        }
        // 12 less 3 that are kept, in halves.
        (0..5).for_each(|_| assert_eq!(bench.next(), 1));
        let next = bench.begun.recv_timeout(Duration::from_millis(100));
        assert!(next.is_err());
        for owner in 2..9 {
            bench.hang(owner);
            assert_eq!(bench.next(), owner);
        }
    }

    #[test]
    fn pool_does_all_jobs_and_owners_take_turns() {
        let (bench, let_go) = Bench::new();
        let (tx, rx) = unbounded();
        for owner in 1..=3 {
            (0..20).for_each(|_| bench.hang(owner));
        }
        for owner in (1..=3).cycle().take(30) {
            let tx = tx.clone();
            bench.pool.run(owner, move || tx.send(owner).unwrap());
        }
        assert!(rx.is_empty());
        drop(let_go);
        bench.pool.end();
        assert_eq!(rx.len(), 30);
        bench.pool.run(1, move || tx.send(1).unwrap());
        assert_eq!(rx.iter().count(), 30, "nothing is taken after the end");
    }

    #[test]
    fn job_that_panics_takes_no_thread_with_it() {
        let pool = Pool::new(1);
        pool.run(1, || panic!("as intended"));
        let (tx, rx) = bounded(1);
        pool.run(1, move || tx.send(()).unwrap());
        rx.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
