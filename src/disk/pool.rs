//! Threads for work that must not be done where it arose: as many as needed, up to a bound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

type Job = Box<dyn FnOnce() + Send>;

/// Above it, jobs queue. Storage that hangs can hold this many threads, and no more.
const MOST_THREADS: usize = 32;
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
        let shared = &self.shared;
        if shared.idle.load(Ordering::SeqCst) < shared.waiting.len() {
            self.grow();
        }
    }

    fn grow(&self) {
        let threads = &self.shared.threads;
        if threads.fetch_add(1, Ordering::SeqCst) >= MOST_THREADS {
            threads.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let shared = Arc::clone(&self.shared);
        let worker = std::thread::Builder::new().name("worker".into());
        if worker.spawn(move || shared.work()).is_err() {
            // Out of threads: those that run take the job, or the next call tries again.
            threads.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            // A panic must not take the thread from the count; the job's reply answers EIO.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; None when this thread has left the pool.
    fn next(&self) -> Option<Job> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let job = self.waiting.recv_timeout(IDLE);
        self.idle.fetch_sub(1, Ordering::SeqCst);
        // A job sent while this thread still counted as idle would start no other: look again.
        let job = job.ok().or_else(|| self.waiting.try_recv().ok());
        if job.is_none() {
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
        job
    }
}
