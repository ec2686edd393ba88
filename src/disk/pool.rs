//! Threads for work that must not be done where it arose: as many as needed, up to a bound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

type Job = Box<dyn FnOnce() + Send>;

/// Above it, jobs queue. Storage that hangs can hold this many threads, and no more.
const MOST_THREADS: usize = 32;
/// As many are started before their jobs come.
const READY_THREADS: usize = 8;
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(5);

/// A pool that grows while jobs wait and shrinks when idle.
pub struct Pool {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Receiver<Job>,
    idle: AtomicUsize,
    threads: AtomicUsize,
}

impl Default for Pool {
    fn default() -> Self {
        let (jobs, waiting) = unbounded();
        let shared = Shared {
            waiting,
            idle: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
        };
        Self {
            jobs,
            shared: Arc::new(shared),
        }
    }
}

impl Pool {
    /// Runs `job` on some thread of the pool, as soon as one is free.
    pub fn run(&self, job: Job) {
        // Cannot fail: `shared` keeps a receiver.
        let _ = self.jobs.send(job);
        self.shared.grow_if_needed();
    }

    /// Starts a thread ahead of `jobs` that will come at one moment, unless there are enough.
    pub fn expect(&self, jobs: usize) {
        if self.shared.threads.load(Ordering::SeqCst) < jobs.min(READY_THREADS) {
            self.shared.start_thread(super::prepare_thread);
        }
    }
}

impl Shared {
    /// Starts a thread if more jobs wait than threads are idle. Called by whoever adds a job, and
    /// by each thread once it is no longer idle: the adder may have counted on it.
    fn grow_if_needed(self: &Arc<Self>) {
        if self.idle.load(Ordering::SeqCst) >= self.waiting.len() {
            return;
        }
        self.start_thread(|| ());
    }

    /// Starts a thread that does `first` before it takes jobs, unless there are too many.
    fn start_thread(self: &Arc<Self>, first: fn()) {
        if self.threads.fetch_add(1, Ordering::SeqCst) >= MOST_THREADS {
            self.threads.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let shared = Arc::clone(self);
        let worker = std::thread::Builder::new().name("worker".into());
        let started = worker.spawn(move || {
            first();
            shared.work();
        });
        if started.is_err() && self.threads.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Nobody will ever take it: dropping a job answers EIO.
            drop(self.waiting.try_recv());
        }
    }

    fn work(self: &Arc<Self>) {
        while let Some(job) = self.next() {
            // A panic must not take the thread from the count; the job's reply answers EIO.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; None when this thread has left the pool.
    fn next(self: &Arc<Self>) -> Option<Job> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let job = self.waiting.recv_timeout(IDLE);
        self.idle.fetch_sub(1, Ordering::SeqCst);
        if job.is_err() {
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
        self.grow_if_needed();
        job.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_job_that_hangs_holds_up_no_other() {
        let pool = Pool::default();
        let (tell, told) = channel();
        let (let_go, hang) = crossbeam_channel::bounded::<()>(0);
        for round in 0..MOST_THREADS - 1 {
            let hang = hang.clone();
            pool.run(Box::new(move || assert!(hang.recv().is_err())));
            let tell = tell.clone();
            pool.run(Box::new(move || tell.send(round).unwrap()));
            assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(round));
        }
        drop(let_go);
    }
}
