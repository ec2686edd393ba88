//! The tries of a file: which tests failed and are tried again, and what counts in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::events::{Event, Outcome};

/// What is known over the tries of a file.
#[derive(Default)]
pub(super) struct Tries {
    /// The plan has been reported: later processes of the file run some of the same tests.
    planned: bool,
    /// How often each test was started.
    tried: BTreeMap<String, u32>,
    /// Those that the next try runs.
    again: Vec<End>,
}

/// The end of a test. One that failed, or that its process did not reach, may be tried again.
struct End {
    test: String,
    outcome: Outcome,
    seconds: f64,
    evidence: Option<PathBuf>,
}

impl Tries {
    /// The names of the tests that the next try runs.
    pub(super) fn again(&self) -> Vec<String> {
        let names = self.again.iter().map(|unfinished| unfinished.test.clone());
        names.collect()
    }

    /// The event for the reporters, if there is one.
    pub(super) fn note(&mut self, event: Event, is_last: bool) -> Option<Event> {
        match event {
            Event::Planned { .. } if self.planned => None,
            Event::Planned { tests } => {
                self.planned = true;
                Some(Event::Planned { tests })
            }
            Event::Finished {
                test,
                outcome,
                seconds,
                attempts,
                evidence,
            } => {
                let tried = self.tried.entry(test.clone()).or_default();
                *tried += attempts;
                let attempts = *tried;
                let end = End {
                    test,
                    outcome,
                    seconds,
                    evidence,
                };
                self.finished(end, attempts, is_last)
            }
            event => Some(event),
        }
    }

    /// The event for the reporters when a test ends, which was tried `attempts` times by now.
    fn finished(&mut self, end: End, attempts: u32, is_last: bool) -> Option<Event> {
        let is_not_run = matches!(end.outcome, Outcome::NotRun { .. });
        // The failure of an earlier try counts, if no later one reaches the test.
        if is_not_run && self.again.iter().any(|other| other.test == end.test) {
            return None;
        }
        self.again.retain(|other| other.test != end.test);
        let retried = match &end.outcome {
            Outcome::Failed { message } if !is_last => Some(Event::Retried {
                test: end.test.clone(),
                attempt: attempts,
                message: message.clone(),
                seconds: end.seconds,
                evidence: end.evidence.clone(),
            }),
            Outcome::NotRun { .. } if !is_last => None,
            Outcome::Failed { .. }
            | Outcome::NotRun { .. }
            | Outcome::Passed
            | Outcome::Skipped { .. } => return Some(end.event(attempts)),
        };
        self.again.push(end);
        retried
    }

    /// The ends of the tests that are left.
    pub(super) fn ends(self) -> impl Iterator<Item = Event> {
        let tried = self.tried;
        self.again.into_iter().map(move |left| {
            let attempts = tried.get(&left.test).copied().unwrap_or(0);
            left.event(attempts)
        })
    }
}

impl End {
    fn event(self, attempts: u32) -> Event {
        Event::Finished {
            test: self.test,
            outcome: self.outcome,
            seconds: self.seconds,
            attempts,
            evidence: self.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(test: &str, outcome: Outcome, attempts: u32) -> Event {
        Event::Finished {
            test: test.into(),
            outcome,
            seconds: 0.0,
            attempts,
            evidence: None,
        }
    }

    fn failed() -> Outcome {
        let message = "broken".into();
        Outcome::Failed { message }
    }

    fn not_run() -> Outcome {
        let reason = "its process ended".into();
        Outcome::NotRun { reason }
    }

    #[test]
    fn tries_run_a_test_next_time_that_its_process_did_not_reach_and_it_is_not_flaky() {
        let mut tries = Tries::default();
        assert_eq!(tries.note(finished("x", not_run(), 0), false), None);
        assert_eq!(tries.again(), ["x"]);
        let passed = finished("x", Outcome::Passed, 1);
        assert_eq!(tries.note(passed.clone(), true), Some(passed));
        assert!(tries.again().is_empty());
    }

    #[test]
    fn tries_keep_the_failure_of_a_test_that_no_later_try_reaches() {
        let mut tries = Tries::default();
        let retried = tries.note(finished("x", failed(), 1), false);
        assert!(matches!(retried, Some(Event::Retried { attempt: 1, .. })));
        assert_eq!(tries.note(finished("x", not_run(), 0), true), None);
        let ends: Vec<_> = tries.ends().collect();
        assert_eq!(ends, [finished("x", failed(), 1)]);
    }
}
