//! Making the faults of a failed test few: the test runs again with ever fewer of those that were recorded.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::options::RunOptions;
use super::stop::Stop;
use super::worker::run_file;
use crate::events::{Event, Outcome, Replay, ReplayedRule};
use crate::evidence::{Recording, RecordingError, folder_name};
use crate::fault::Replayed;
use crate::units::text::{self, printable};
use crate::units::{counted, shrink};

/// How often all recorded faults are tried.
const TRIES: u32 = 3;

/// A test of a file.
#[derive(Clone, Debug)]
pub struct Target {
    /// The file.
    pub file: PathBuf,
    /// The name of the test.
    pub test: String,
}

/// Shrinks the faults of tests.
pub struct Shrinker<'a> {
    /// How to run them.
    pub options: &'a RunOptions,
    /// Whether to go on.
    pub stop: &'a Stop,
    /// Is told how far it is.
    pub tell: &'a dyn Fn(&Progress),
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How often the test has run.
    pub runs: usize,
    /// The fewest faults with which it fails by now, of all; None while it is recorded.
    pub faults: Option<(usize, usize)>,
    /// For how long.
    pub took: Duration,
}

/// The faults that a test needs to fail.
#[derive(Debug)]
pub struct Shrunk {
    /// Where all faults are recorded.
    pub recording: Recording,
    /// The places of those that it needs among those that a replay can make.
    pub needed: Vec<usize>,
    /// The first line of its error.
    pub reason: String,
    /// How far it came.
    pub progress: Progress,
}

/// Why a test has no faults that could be made few.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// It does not fail.
    #[error("it passed in {}: there is no failure to make smaller", counted(u64::from(*.0), "run"))]
    Passes(u32),
    /// It fails, and no rule acted.
    #[error("no fault fired, and it failed: {0}")]
    NothingFired(String),
    /// None of its faults can be made again.
    #[error("none of its {} can be made again: {}", counted(*.0 as u64, "fault"), .1.join("; "))]
    NothingToReplay(usize, Vec<String>),
    /// With all faults it does not fail as recorded.
    #[error(
        "with all {} it did not fail as recorded in {}: {reason} ({seen})", counted(*.faults as u64, "recorded fault"),
        counted(u64::from(*.tries), "run")
    )]
    NotAgain {
        /// How many faults.
        faults: usize,
        /// How often it was tried.
        tries: u32,
        /// How it failed in the recording.
        reason: String,
        /// What it did instead.
        seen: String,
    },
    /// It fails without them.
    #[error("it fails without any fault, too: {0}")]
    WithoutFaults(String),
    /// It did not run.
    #[error("{0}")]
    NotRun(String),
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// How a test ended.
#[derive(Debug)]
enum Ended {
    Passed,
    /// With the first line of its error.
    Failed(String),
}

/// The runs of one test.
struct Runs<'a> {
    shrinker: &'a Shrinker<'a>,
    target: &'a Target,
    started: Instant,
    runs: usize,
    faults: Option<(usize, usize)>,
}

impl Shrinker<'_> {
    /// Runs the test until it fails, `tries` times at most, and records what fires, below `folder`. Then finds the faults
    /// that it needs.
    pub fn record_and_shrink(
        &self,
        target: &Target,
        folder: &Path,
        tries: u32,
    ) -> Result<Shrunk, ShrinkError> {
        let mut runs = Runs::new(self, target);
        for _ in 0..tries {
            if let Ended::Failed(reason) = runs.run(None, Some(folder))? {
                let name = folder_name(&text::path(&target.file), &target.test, 1, 1);
                let folder = folder.join(name);
                if !folder.exists() {
                    return Err(ShrinkError::NothingFired(reason));
                }
                return runs.shrink(Recording::read(&folder)?);
            }
        }
        Err(ShrinkError::Passes(tries))
    }

    /// Finds the faults of a recording that its test needs.
    pub fn shrink(&self, target: &Target, recording: Recording) -> Result<Shrunk, ShrinkError> {
        Runs::new(self, target).shrink(recording)
    }

    /// Whether the test fails, as it is, with `reason`, in whatever line.
    pub fn fails(&self, target: &Target, reason: &str) -> Result<bool, ShrinkError> {
        let ended = Runs::new(self, target).run(None, None)?;
        Ok(matches!(ended, Ended::Failed(seen) if kind(&seen).1 == kind(reason).1))
    }
}

impl<'a> Runs<'a> {
    fn new(shrinker: &'a Shrinker<'a>, target: &'a Target) -> Self {
        Self {
            shrinker,
            target,
            started: Instant::now(),
            runs: 0,
            faults: None,
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            runs: self.runs,
            faults: self.faults,
            took: self.started.elapsed(),
        }
    }

    fn shrink(mut self, recording: Recording) -> Result<Shrunk, ShrinkError> {
        let count = recording.faults();
        if count == 0 {
            let remarks = recording.remarks.clone();
            return Err(ShrinkError::NothingToReplay(recording.fired(), remarks));
        }
        let reason = recording.test.message.lines().next().unwrap_or_default();
        let reason = reason.to_owned();
        let all: Vec<_> = (0..count).collect();
        self.faults = Some((count, count));
        self.must_fail_again(&recording, &all, &reason)?;
        let mut broken = None;
        let needed = shrink(&all, |chosen| {
            match broken
                .is_none()
                .then(|| self.fails(&recording, chosen, &reason))
            {
                Some(Ok(fails)) => fails,
                Some(Err(error)) => {
                    broken = Some(error);
                    false
                }
                None => false,
            }
        });
        match broken {
            Some(error) => Err(error),
            None if needed.is_empty() => Err(ShrinkError::WithoutFaults(reason)),
            None => Ok(Shrunk {
                recording,
                needed,
                reason,
                progress: self.progress(),
            }),
        }
    }

    /// Tries all faults until the test fails as recorded.
    fn must_fail_again(
        &mut self,
        recording: &Recording,
        all: &[usize],
        reason: &str,
    ) -> Result<(), ShrinkError> {
        let mut seen = String::new();
        for _ in 0..TRIES {
            seen = match self.run(Some(replay(recording, all)), None)? {
                Ended::Failed(other) if is_same(&other, reason) => return Ok(()),
                Ended::Failed(other) => format!("it failed: {other}"),
                Ended::Passed => "it passed".to_owned(),
            };
        }
        Err(ShrinkError::NotAgain {
            faults: all.len(),
            tries: TRIES,
            reason: reason.to_owned(),
            seen,
        })
    }

    fn fails(
        &mut self,
        recording: &Recording,
        chosen: &[usize],
        reason: &str,
    ) -> Result<bool, ShrinkError> {
        let ended = self.run(Some(replay(recording, chosen)), None)?;
        let fails = matches!(ended, Ended::Failed(seen) if is_same(&seen, reason));
        if let Some((left, _)) = self.faults.as_mut().filter(|_| fails) {
            *left = chosen.len().min(*left);
        }
        Ok(fails)
    }

    /// Runs the test once: with these faults alone, or as it is; what fires is recorded below `folder`.
    fn run(&mut self, replay: Option<Replay>, folder: Option<&Path>) -> Result<Ended, ShrinkError> {
        let Shrinker {
            options,
            stop,
            tell,
        } = self.shrinker;
        tell(&self.progress());
        let mut order = options.order(Some(vec![self.target.test.clone()]));
        order.include_slow = true;
        order.replay = replay;
        order.evidence.round = 1;
        order.evidence.attempt = 1;
        order.evidence.artifacts = None;
        order.evidence.all = false;
        order.evidence.faults = folder.map(Path::to_owned);
        let mut outcome = None;
        let mut note = |event| match event {
            Event::Finished {
                test,
                outcome: ended,
                ..
            } if test == self.target.test => {
                outcome = Some(ended);
            }
            Event::FileFailed { message, .. } => {
                outcome.get_or_insert(Outcome::Failed { message });
            }
            Event::FileNotRun { reason } => outcome = Some(Outcome::NotRun { reason }),
            _ => {}
        };
        let ran = run_file(&self.target.file, &order, options, stop, &mut note);
        ran.map_err(|error| ShrinkError::NotRun(format!("cannot run the file: {error}")))?;
        self.runs += 1;
        match (stop.reason(), outcome) {
            (Some(reason), _) => Err(ShrinkError::NotRun(reason)),
            (None, Some(Outcome::Passed)) => Ok(Ended::Passed),
            (None, Some(Outcome::Failed { message })) => {
                let first = message.lines().next().unwrap_or_default();
                Ok(Ended::Failed(printable(first)))
            }
            (None, Some(Outcome::Skipped { reason } | Outcome::NotRun { reason })) => {
                Err(ShrinkError::NotRun(format!("it does not run: {reason}")))
            }
            (None, None) => Err(ShrinkError::NotRun(
                "its process ended without a word".into(),
            )),
        }
    }
}

/// The replay of these faults.
pub(super) fn replay(recording: &Recording, chosen: &[usize]) -> Replay {
    let disks = recording.replay(chosen).into_iter();
    let replay = disks.map(|(disk, rules)| {
        let rules = rules.into_iter();
        let rule = |(number, replayed): (u64, Replayed)| {
            let (rule, faults) = (replayed.rule, replayed.faults);
            (number, ReplayedRule { rule, faults })
        };
        (disk, rules.map(rule).collect())
    });
    Replay(replay.collect())
}

/// Whether two errors are of one kind: the first lines are equal but for their numbers, which change with the faults. The
/// place, a file and a line at the beginning, is the same.
fn is_same(a: &str, b: &str) -> bool {
    kind(a) == kind(b)
}

/// The place of an error, if it has one, and the rest of its first line without numbers.
fn kind(message: &str) -> (String, Vec<String>) {
    let line = printable(message.lines().next().unwrap_or_default());
    let (place, rest) = line.split_once(": ").unwrap_or(("", &line));
    let words = rest.split(|c: char| c.is_ascii_digit());
    let words = words.filter(|word| !word.is_empty());
    (place.to_owned(), words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_of_one_kind_if_they_differ_in_numbers_alone() {
        let of = "a.test.lua:7: sector 12 lost, 3.5 s";
        assert!(is_same(of, "a.test.lua:7: sector 4096 lost, 10.25 s\nmore"));
        assert!(!is_same(of, "a.test.lua:8: sector 12 lost, 3.5 s"));
        assert!(!is_same(of, "a.test.lua:7: sector 12 gone, 3.5 s"));
        assert!(!is_same(of, ""));
    }
}
