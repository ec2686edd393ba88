//! Keeping one loop thread free, so that the control files answer while storage hangs.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the loop threads that are busy with something that may take long.
#[derive(Debug)]
pub(super) struct Loops {
    threads: usize,
    busy: AtomicUsize,
}

/// One loop thread, busy until this is dropped.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Loops {
    /// For a session of `threads` loop threads, at least two.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            busy: AtomicUsize::new(0),
        }
    }

    /// Permission for this loop thread to do the work itself; None when it is the last one that
    /// is free, and the work belongs on the pool.
    pub(super) fn enter(&self) -> Option<Busy<'_>> {
        if self.busy.fetch_add(1, Ordering::Relaxed) + 1 < self.threads {
            return Some(Busy(&self.busy));
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_loops_but_one_may_be_busy() {
        let loops = Loops::new(3);
        let first = loops.enter();
        let second = loops.enter();
        assert!(first.is_some() && second.is_some());
        assert!(loops.enter().is_none());
        drop(first);
        assert!(loops.enter().is_some());
    }
}
