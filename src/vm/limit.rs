//! The moment at which a test has to be over, shared by everything that waits on its behalf.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::VmError;

/// A deadline that can be moved. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Limit(Rc<Cell<Option<Instant>>>);

impl Limit {
    /// Sets the deadline; None for none.
    pub fn set(&self, deadline: Option<Instant>) {
        self.0.set(deadline);
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.0
            .get()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// `wait`, or what is left until the deadline where that is less.
    pub fn cut(&self, wait: Duration) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.0
            .get()
            .map_or(wait, |deadline| wait.min(left(deadline)))
    }

    /// Sleeps; fails when the deadline comes first.
    pub fn sleep(&self, duration: Duration) -> Result<(), VmError> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            if self.passed() {
                return Err(VmError::TimeIsUp);
            }
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(self.cut(left).max(Duration::from_micros(100)));
        }
        Ok(())
    }
}
