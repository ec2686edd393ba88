//! Which loop threads are busy, and whether one is still in the same request as before.

use std::sync::atomic::{AtomicU64, Ordering};

/// The activity of a loop thread: counts up each time the thread becomes busy or free, and so is odd while
/// it is busy. Only its own thread writes it. On cache lines of its own: every request writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ActivityEpoch(AtomicU64);

impl ActivityEpoch {
    /// The request that the thread is busy with; None while it is free.
    fn busy(&self) -> Option<u64> {
        let epoch = self.0.load(Ordering::SeqCst);
        (epoch % 2 == 1).then_some(epoch)
    }

    /// The thread becomes busy. Returns how often it has become busy or free.
    pub(super) fn begin(&self) -> u64 {
        // Only its own thread writes it.
        let epoch = self.0.load(Ordering::Relaxed) + 1;
        // Before the thread looks whether the watchdog sleeps.
        self.0.store(epoch, Ordering::SeqCst);
        epoch
    }

    /// The thread becomes free. Other threads may see that a little later.
    pub(super) fn end(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// The activity of all active threads, by the thread's number.
#[derive(Debug)]
pub(super) struct Activity(Box<[ActivityEpoch]>);

impl Activity {
    pub(super) fn of(threads: usize) -> Self {
        Self((0..threads).map(|_| ActivityEpoch::default()).collect())
    }

    pub(super) fn threads(&self) -> usize {
        self.0.len()
    }

    /// That of the thread `number`; None for the spare thread, whose number is above the others.
    pub(super) fn epoch(&self, number: usize) -> Option<&ActivityEpoch> {
        self.0.get(number)
    }

    /// The request of each thread, None for one that is free.
    pub(super) fn requests(&self) -> Vec<Option<u64>> {
        self.0.iter().map(ActivityEpoch::busy).collect()
    }

    pub(super) fn all_are_busy(&self) -> bool {
        self.0.iter().all(|epoch| epoch.busy().is_some())
    }

    pub(super) fn all_are_free(&self) -> bool {
        self.0.iter().all(|epoch| epoch.busy().is_none())
    }

    /// Whether a thread other than `number` is busy.
    pub(super) fn another_is_busy(&self, number: usize) -> bool {
        let mut others = self.0.iter().enumerate();
        others.any(|(other, epoch)| other != number && epoch.busy().is_some())
    }
}
