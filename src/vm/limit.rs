//! The moment at which a test has to be over, shared by everything that waits on its behalf.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::VmError;

/// The longest sleep at a stretch, so that an interruption is noticed.
const TICK: Duration = Duration::from_millis(50);

/// A deadline that can be moved. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Limit(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    deadline: Cell<Option<Instant>>,
    /// Set by a signal handler, which can do no more.
    interrupted: Arc<AtomicBool>,
}

impl Limit {
    /// Sets the deadline; None for none.
    pub fn set(&self, deadline: Option<Instant>) {
        self.0.deadline.set(deadline);
    }

    /// A flag that ends all waiting while it is true, as the deadline does.
    pub fn interrupted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.interrupted)
    }

    /// Fails once the deadline has passed, and while it is interrupted.
    pub fn check(&self) -> Result<(), VmError> {
        if self.0.interrupted.load(Ordering::Relaxed) {
            return Err(VmError::Interrupted);
        }
        match self.0.deadline.get() {
            Some(deadline) if Instant::now() >= deadline => Err(VmError::TimeIsUp),
            _ => Ok(()),
        }
    }

    /// `wait`, or the time until the deadline if that is less.
    pub fn cut(&self, wait: Duration) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.0
            .deadline
            .get()
            .map_or(wait, |deadline| wait.min(left(deadline)))
    }

    /// Sleeps; fails when the deadline comes first.
    pub fn sleep(&self, duration: Duration) -> Result<(), VmError> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now()).min(TICK);
            std::thread::sleep(self.cut(left).max(Duration::from_micros(100)));
        }
        Ok(())
    }
}
