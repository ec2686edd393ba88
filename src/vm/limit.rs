//! The moment at which a test has to be over, shared by everything that waits on its behalf.

use std::cell::{Cell, RefCell};
use std::fmt;
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

/// It is told what is prepared.
type Listener = Box<dyn Fn(&Preparing)>;

#[derive(Default)]
struct Inner {
    deadline: Cell<Option<Instant>>,
    /// Set by a signal handler, which can do no more.
    interrupted: Arc<AtomicBool>,
    listener: RefCell<Option<Listener>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Limit");
        shown.field("deadline", &self.deadline);
        shown.field("interrupted", &self.interrupted);
        shown.finish_non_exhaustive()
    }
}

/// Something that takes long, and is made once for all later runs: no test is charged with it.
#[derive(Clone, Debug)]
pub struct Preparing {
    /// What is done.
    pub what: String,
    /// How much of it is done, in percent; None while another process does it.
    pub percent: Option<f64>,
    /// Whether nothing was told of it before.
    pub is_first: bool,
    /// How long the deadline stood still since it was told last.
    pub passed: Duration,
}

/// A deadline that is earlier for a while.
#[derive(Debug)]
pub struct Narrowed {
    limit: Limit,
    before: Option<Instant>,
    now: Instant,
}

impl Drop for Narrowed {
    fn drop(&mut self) {
        // Time that did not count for the one does not count for the other.
        let stood_still = |before: Instant| {
            let deadline = self.limit.0.deadline.get().unwrap_or(self.now);
            before + deadline.saturating_duration_since(self.now)
        };
        self.limit.set(self.before.map(stood_still));
    }
}

impl Limit {
    /// Sets the deadline; None for none.
    pub fn set(&self, deadline: Option<Instant>) {
        self.0.deadline.set(deadline);
    }

    /// Moves the deadline by `passed`, a time that does not count.
    pub(super) fn stand_still(&self, passed: Duration) {
        let deadline = &self.0.deadline;
        deadline.set(deadline.get().map(|deadline| deadline + passed));
    }

    /// Has `listener` told, about every second, what is prepared meanwhile.
    pub fn on_preparing(&self, listener: impl Fn(&Preparing) + 'static) {
        *self.0.listener.borrow_mut() = Some(Box::new(listener));
    }

    pub(super) fn tell(&self, preparing: &Preparing) {
        if let Some(listener) = &*self.0.listener.borrow() {
            listener(preparing);
        }
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

    /// Moves the deadline to at most `wait` from now, until what this returns is dropped.
    pub fn narrow(&self, wait: Duration) -> Narrowed {
        let before = self.0.deadline.get();
        let now = Instant::now() + self.cut(wait);
        self.set(Some(now));
        Narrowed {
            limit: self.clone(),
            before,
            now,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn narrowed_limit_becomes_what_it_was_and_keeps_what_did_not_count() {
        let limit = Limit::default();
        let deadline = Instant::now() + HOUR;
        limit.set(Some(deadline));
        let narrowed = limit.narrow(Duration::ZERO);
        assert!(limit.check().is_err());
        limit.stand_still(HOUR);
        assert!(limit.check().is_ok());
        drop(narrowed);
        assert_eq!(limit.0.deadline.get(), Some(deadline + HOUR));
        let wider = limit.narrow(9 * HOUR);
        assert!(limit.0.deadline.get() <= Some(deadline + HOUR + HOUR));
        drop(wider);
        assert_eq!(limit.0.deadline.get(), Some(deadline + HOUR));
        limit.set(None);
        drop(limit.narrow(HOUR));
        assert_eq!(limit.0.deadline.get(), None);
    }
}
