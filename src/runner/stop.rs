//! Whether a run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Shared by all threads of a run: a thread that finds a reason to stop says so here.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    reason: Arc<Mutex<Option<String>>>,
    /// Set by a signal handler, which can do no more.
    interrupted: Arc<AtomicBool>,
}

impl Stop {
    /// Starts nothing more and ends what runs; the first reason counts.
    pub fn stop(&self, reason: impl Into<String>) {
        self.reason.lock().get_or_insert_with(|| reason.into());
    }

    /// Why the run stops, if it does.
    pub fn reason(&self) -> Option<String> {
        if self.interrupted.load(Ordering::Relaxed) {
            self.stop("interrupted");
        }
        self.reason.lock().clone()
    }

    /// A flag that stops the run once it is true.
    pub fn interrupted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupted)
    }
}
