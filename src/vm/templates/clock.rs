//! The time that a template takes: a test's limit does not run meanwhile, and whoever waits is told.

use std::time::{Duration, Instant};

use super::tool::Source;
use crate::units::text::shown;
use crate::vm::VmError;
use crate::vm::limit::{Limit, Preparing};

/// What takes longer is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// A conversion without progress for as long is stuck: the test's limit runs again.
const STUCK: Duration = Duration::from_secs(60);

/// The time that a template takes.
pub(super) struct Clock<'a> {
    limit: &'a Limit,
    what: String,
    latest: Instant,
    /// When it was last told.
    told: Instant,
    has_told: bool,
    /// How much is done, in percent, and when it was less.
    percent: Option<f64>,
    grew: Instant,
}

impl<'a> Clock<'a> {
    pub(super) fn new(source: &Source<'_>, limit: &'a Limit) -> Self {
        let now = Instant::now();
        let image = shown(source.path);
        Self {
            limit,
            what: format!("making a raw template of image {image} ({})", source.format),
            latest: now,
            told: now,
            has_told: false,
            percent: None,
            grew: now,
        }
    }

    /// Notes how much is done; None while another process does it. Fails if nobody waits any more.
    pub(super) fn tick(&mut self, percent: Option<f64>) -> Result<(), VmError> {
        let now = Instant::now();
        if percent != self.percent || percent.is_none() {
            self.percent = percent;
            self.grew = now;
        }
        let passed = now - self.latest;
        self.latest = now;
        if now - self.grew < STUCK {
            self.limit.stand_still(passed);
        }
        self.limit.check()?;
        if now - self.told >= TOLD_AFTER {
            self.tell(now);
        }
        Ok(())
    }

    /// Tells the end, if it took long.
    pub(super) fn done(&mut self) {
        self.percent = Some(100.0);
        if self.has_told {
            self.tell(Instant::now());
        }
    }

    fn tell(&mut self, now: Instant) {
        self.limit.tell(&Preparing {
            what: self.what.clone(),
            percent: self.percent,
            is_first: !self.has_told,
            passed: now - self.told,
        });
        self.told = now;
        self.has_told = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::path::Path;
    use std::rc::Rc;

    fn source() -> Source<'static> {
        Source {
            path: Path::new("/i.qcow2"),
            format: "qcow2",
        }
    }

    #[test]
    fn limit_stands_still_while_there_is_progress() {
        let limit = Limit::default();
        let mut clock = Clock::new(&source(), &limit);
        let let_pass = |clock: &mut Clock<'_>| {
            limit.set(Some(Instant::now() - Duration::from_secs(60)));
            clock.latest -= Duration::from_secs(120);
        };
        for percent in 0..10 {
            let_pass(&mut clock);
            clock.tick(Some(f64::from(percent))).unwrap();
        }
        clock.grew -= STUCK;
        let_pass(&mut clock);
        assert!(matches!(clock.tick(Some(9.0)), Err(VmError::TimeIsUp)));
    }

    #[test]
    fn what_takes_long_is_told_with_its_end_and_what_does_not_is_not() {
        let limit = Limit::default();
        let told = Rc::new(RefCell::new(Vec::new()));
        let listener = Rc::clone(&told);
        limit.on_preparing(move |preparing| listener.borrow_mut().push(preparing.percent));
        let mut clock = Clock::new(&source(), &limit);
        // However long a busy machine takes.
        clock.told += Duration::from_secs(3600);
        clock.tick(Some(1.0)).unwrap();
        clock.done();
        assert!(told.borrow().is_empty());
        let mut clock = Clock::new(&source(), &limit);
        clock.told -= TOLD_AFTER;
        clock.tick(Some(2.0)).unwrap();
        clock.done();
        assert_eq!(*told.borrow(), [Some(2.0), Some(100.0)]);
    }
}
