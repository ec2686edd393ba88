//! What a run reports, and its sum.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::events::{Event, Outcome};

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Report {
    /// It begins.
    Began {
        /// How many files will run, each round counted.
        files: usize,
        /// How often everything runs.
        rounds: u32,
        /// The seed of the order, if it is shuffled.
        seed: Option<u64>,
    },
    /// An event of a file in a round.
    Event(PathBuf, u32, Event),
    /// What a file with failures printed.
    Output(PathBuf, u32, String),
    /// All is over.
    Ended(Summary),
}

/// Draws a run.
pub trait Reporter {
    /// Shows one more thing. A report that cannot be written stops the run.
    fn report(&mut self, report: &Report) -> io::Result<()>;
}

/// Why a run was stopped, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The reason, which is also that of the tests that were not run.
    pub reason: String,
    /// The round, and how many there were to be; None in a run of one round.
    pub round: Option<(u32, u32)>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.round {
            None => write!(f, "{}", self.reason),
            Some((round, of)) => write!(f, "{}, in round {round} of {of}", self.reason),
        }
    }
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Tests that passed, the flaky ones included.
    pub passed: usize,
    /// Tests that passed, but not at once.
    pub flaky: usize,
    /// Tests that failed, and files that did so as a whole.
    pub failed: usize,
    /// Tests that were left out.
    pub skipped: usize,
    /// Tests that did not start: the run was stopped, or their process ended.
    pub not_run: usize,
    /// Files that did not start because the run was stopped, and whose tests are not known.
    pub files_not_run: usize,
    /// Why it was stopped, if it was.
    pub stopped: Option<Stopped>,
    /// How long it took.
    pub took: Duration,
    /// The tests that did not pass, with their files; without a test where the file itself failed.
    pub unfinished: BTreeSet<(PathBuf, Option<String>)>,
}

impl Summary {
    /// Counts what an event of `file` ends.
    pub(super) fn count(&mut self, file: &Path, event: &Event) {
        let mut unfinished = |test: Option<&String>| {
            self.unfinished.insert((file.to_owned(), test.cloned()));
        };
        match event {
            Event::Finished {
                test,
                outcome,
                attempts,
                ..
            } => match outcome {
                Outcome::Passed => {
                    self.passed += 1;
                    self.flaky += usize::from(*attempts > 1);
                }
                Outcome::Skipped { .. } => self.skipped += 1,
                Outcome::Failed { .. } => {
                    unfinished(Some(test));
                    self.failed += 1;
                }
                Outcome::NotRun { .. } => {
                    unfinished(Some(test));
                    self.not_run += 1;
                }
            },
            Event::FileFailed { .. } => {
                unfinished(None);
                self.failed += 1;
            }
            Event::FileNotRun { .. } => {
                unfinished(None);
                self.files_not_run += 1;
            }
            _ => {}
        }
    }
}
