//! The engine: files to processes, their events to reporters, the ends to a summary.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::Stop;
use super::memory::MemoryGate;
use super::worker::{self, list_file};
use crate::events::{Event, Order, Outcome, TestInfo};

/// How many reports wait to be drawn before the files wait for that.
const REPORTS_WAITING: usize = 1000;

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration; searched for without it.
    pub config: Option<PathBuf>,
    /// How long a test may take that does not say so itself.
    pub timeout: Duration,
    /// How long a file may take.
    pub file_timeout: Option<Duration>,
    /// After how long, and each time as much has passed, a test is called slow.
    pub slow_after: Duration,
    /// How many files run at a time.
    pub jobs: usize,
    /// Bytes of memory that a file needs to be started beside others.
    pub memory: u64,
    /// How many failures stop the run.
    pub max_fail: Option<usize>,
    /// How often a failed test is tried again.
    pub retries: u32,
    /// Whether slow tests run.
    pub include_slow: bool,
    /// Whether the VMs of failed tests stay.
    pub keep: bool,
    /// Whether every guest boots for real.
    pub cold: bool,
}

impl RunOptions {
    pub(super) fn order(&self, only: Option<Vec<String>>) -> Order {
        Order {
            list: false,
            only,
            include_slow: self.include_slow,
            stop_after: None,
            keep: self.keep,
            cold: self.cold,
            timeout: self.timeout.as_secs_f64(),
        }
    }
}

/// A file to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file.
    pub file: PathBuf,
    /// From 1, when everything runs several times.
    pub round: u32,
    /// What of it.
    pub tests: Tests,
}

/// What of a file runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tests {
    /// All, as they are written.
    All,
    /// These, in this order.
    Only(Vec<String>),
    /// None: the file could not be read, for this reason.
    Broken(String),
}

impl Tests {
    /// Their names, as far as they are known.
    fn names(&self) -> Option<&[String]> {
        match self {
            Self::Only(names) => Some(names),
            Self::All | Self::Broken(_) => None,
        }
    }
}

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Report {
    /// It begins.
    Began {
        /// How many files will run, each round counted.
        files: usize,
        /// How often everything runs.
        rounds: u32,
        /// What decides the order, if it is shuffled.
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
    /// Tests that the run was stopped before, or that had no process any more.
    pub not_run: usize,
    /// Files that it was stopped before, with tests that nobody knows.
    pub files_not_run: usize,
    /// Why it was stopped, if it was.
    pub stopped: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// What did not pass: files with tests, or without one when it was the file.
    pub unfinished: BTreeSet<(PathBuf, Option<String>)>,
}

impl Summary {
    fn count(&mut self, file: &Path, event: &Event) {
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

/// The tests of each file, or why a file does not load.
pub fn list(
    files: &[PathBuf],
    options: &RunOptions,
) -> Vec<(PathBuf, Result<Vec<TestInfo>, String>)> {
    let next = AtomicUsize::new(0);
    let found = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, files.len().max(1)) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tests = list_file(file, options);
                    found.lock().push((file.clone(), tests));
                }
            });
        }
    });
    let mut found = found.into_inner();
    let place = |file: &PathBuf| files.iter().position(|other| other == file);
    found.sort_by_key(|(file, _)| place(file));
    found
}

/// What runs how often.
pub struct Rounds<'a> {
    /// How many rounds there are, one after the other.
    pub count: u32,
    /// What a round runs, of which the first is 1.
    pub jobs: &'a dyn Fn(u32) -> Vec<Job>,
    /// What decides the order, if it is shuffled.
    pub seed: Option<u64>,
}

/// Runs all rounds and tells `reporter`, until all is done or `stop` says so. A round that had not begun
/// by then is not told of.
pub fn run(
    rounds: &Rounds<'_>,
    options: &RunOptions,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Summary {
    let started = Instant::now();
    let mut summary = Summary::default();
    let mut tell_reporter = |report: &Report| {
        if let Err(error) = reporter.report(report) {
            stop.stop(format!("stopped: {error}"));
        }
    };
    let mut jobs = (rounds.jobs)(1);
    tell_reporter(&Report::Began {
        files: jobs.len().saturating_mul(rounds.count as usize),
        rounds: rounds.count,
        seed: rounds.seed,
    });
    let gate = MemoryGate::new(options.memory);
    let failures = AtomicUsize::new(0);
    let mut round = 1;
    loop {
        let (tell, reports) = bounded(REPORTS_WAITING);
        let runner = FileRunner {
            options,
            stop,
            gate: &gate,
            failures: &failures,
            tell,
        };
        run_round(jobs, runner, &reports, &mut |report| {
            if let Report::Event(file, _, event) = report {
                summary.count(file, event);
            }
            tell_reporter(report);
        });
        if round == rounds.count || stop.reason().is_some() {
            break;
        }
        round += 1;
        jobs = (rounds.jobs)(round);
    }
    summary.took = started.elapsed();
    let is_whole = round == rounds.count && summary.not_run + summary.files_not_run == 0;
    summary.stopped = stop.reason().filter(|_| !is_whole).map(|reason| {
        let count = rounds.count;
        match count {
            1 => reason,
            _ => format!("{reason}, in round {round} of {count}"),
        }
    });
    tell_reporter(&Report::Ended(summary.clone()));
    summary
}

/// Runs `jobs` side by side, as many as the options allow, and passes on what is reported.
fn run_round(
    jobs: Vec<Job>,
    runner: FileRunner<'_>,
    reports: &Receiver<Report>,
    pass_on: &mut dyn FnMut(&Report),
) {
    let threads = runner.options.jobs.clamp(1, jobs.len().max(1));
    let (queue, waiting) = unbounded();
    for job in jobs {
        let _ = queue.send(job);
    }
    drop(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (runner, waiting) = (runner.clone(), waiting.clone());
            // The thread outlives the processes that it starts: they die with it.
            scope.spawn(move || runner.run_all(&waiting));
        }
        drop(runner);
        for report in reports {
            pass_on(&report);
        }
    });
}

/// One of the threads that run files.
#[derive(Clone)]
struct FileRunner<'a> {
    options: &'a RunOptions,
    stop: &'a Stop,
    gate: &'a MemoryGate,
    failures: &'a AtomicUsize,
    tell: Sender<Report>,
}

impl FileRunner<'_> {
    fn run_all(&self, waiting: &Receiver<Job>) {
        for job in waiting {
            let _running = self.gate.enter(self.stop);
            match self.stop.reason() {
                Some(reason) => self.leave_out(&job, job.tests.names(), &reason),
                None => self.run(&job),
            }
        }
    }

    /// Passes on an event. A failure that is one too many stops the run here and now: before the
    /// next file is looked at.
    fn say(&self, job: &Job, event: Event) {
        let failed = matches!(
            event,
            Event::FileFailed { .. }
                | Event::Finished {
                    outcome: Outcome::Failed { .. },
                    ..
                }
        );
        if failed {
            let failures = self.failures.fetch_add(1, Ordering::SeqCst) + 1;
            if self.options.max_fail.is_some_and(|most| failures >= most) {
                let word = if failures == 1 { "failure" } else { "failures" };
                self.stop.stop(format!("stopped after {failures} {word}"));
            }
        }
        let _ = self
            .tell
            .send(Report::Event(job.file.clone(), job.round, event));
    }

    /// Says of these tests of the file that they were not run; of the file, if nobody knows its tests.
    fn leave_out(&self, job: &Job, tests: Option<&[String]>, reason: &str) {
        let Some(tests) = tests else {
            let reason = reason.to_owned();
            return self.say(job, Event::FileNotRun { reason });
        };
        for test in tests {
            self.say(
                job,
                Event::Finished {
                    test: test.clone(),
                    outcome: Outcome::NotRun {
                        reason: reason.to_owned(),
                    },
                    seconds: 0.0,
                    attempts: 0,
                },
            );
        }
    }

    /// Runs the file, and what failed of it again, each time in a new process.
    fn run(&self, job: &Job) {
        let mut tries = Tries::default();
        if let Tests::Broken(message) = &job.tests {
            let message = message.clone();
            return self.say(job, Event::FileFailed { message });
        }
        let mut only = job.tests.names().map(<[String]>::to_vec);
        for retry in 0..=self.options.retries {
            let is_last = retry == self.options.retries;
            self.try_once(job, only, is_last, &mut tries);
            if tries.again.is_empty() {
                return;
            }
            if self.stop.reason().is_some() {
                break;
            }
            only = Some(
                tries
                    .again
                    .iter()
                    .map(|unfinished| unfinished.test.clone())
                    .collect(),
            );
        }
        // Stopped before the next try, or it did not get to them: what they failed with counts.
        for event in tries.ends() {
            self.say(job, event);
        }
    }

    /// Runs some of the file's tests; notes those that have to be tried again.
    fn try_once(&self, job: &Job, mut only: Option<Vec<String>>, is_last: bool, tries: &mut Tries) {
        loop {
            let mut order = self.options.order(only.take());
            order.keep &= is_last;
            let failures = self.failures.load(Ordering::SeqCst);
            let left = self
                .options
                .max_fail
                .map(|most| most.saturating_sub(failures).max(1));
            // A failure that is tried again does not count yet.
            order.stop_after = left.filter(|_| is_last);
            let mut emit = |event| {
                if let Event::FileNotRun { reason } = &event {
                    // What is tried again has failed.
                    if tries.again.is_empty() {
                        self.leave_out(job, order.only.as_deref(), reason);
                    }
                    return;
                }
                if let Some(event) = tries.note(event, is_last) {
                    self.say(job, event);
                }
            };
            let done = worker::run_file(&job.file, &order, self.options, self.stop, &mut emit);
            let done = match done {
                Ok(done) => done,
                Err(error) => {
                    let message = format!("cannot run the file: {error}");
                    return emit(Event::FileFailed { message });
                }
            };
            if !done.output.is_empty() {
                let output = Report::Output(job.file.clone(), job.round, done.output);
                let _ = self.tell.send(output);
            }
            match done.rest {
                Some(rest) if !rest.is_empty() => only = Some(rest),
                _ => return,
            }
        }
    }
}

/// What is known over the tries of a file.
#[derive(Default)]
struct Tries {
    /// The plan has been told: later processes of the file are no more tests than there were.
    planned: bool,
    /// How often each test was started.
    tried: BTreeMap<String, u32>,
    /// Those that the next try runs.
    again: Vec<Unfinished>,
}

/// A test that failed, or that its process ended before.
struct Unfinished {
    test: String,
    outcome: Outcome,
    seconds: f64,
}

impl Tries {
    /// What the reporters see of an event.
    fn note(&mut self, event: Event, is_last: bool) -> Option<Event> {
        let (test, outcome, seconds, attempts) = match event {
            Event::Planned { .. } if self.planned => return None,
            Event::Planned { tests } => {
                self.planned = true;
                return Some(Event::Planned { tests });
            }
            Event::Finished {
                test,
                outcome,
                seconds,
                attempts,
            } => (test, outcome, seconds, attempts),
            event => return Some(event),
        };
        let tried = self.tried.entry(test.clone()).or_default();
        *tried += attempts;
        let attempts = *tried;
        let is_not_run = matches!(outcome, Outcome::NotRun { .. });
        // What a test failed with in an earlier try counts, if no later one gets to it.
        if is_not_run && self.again.iter().any(|other| other.test == test) {
            return None;
        }
        self.again.retain(|other| other.test != test);
        let retried = match &outcome {
            Outcome::Failed { message } if !is_last => Some(Event::Retried {
                test: test.clone(),
                attempt: attempts,
                message: message.clone(),
                seconds,
            }),
            Outcome::NotRun { .. } if !is_last => None,
            _ => {
                return Some(Event::Finished {
                    test,
                    outcome,
                    seconds,
                    attempts,
                });
            }
        };
        self.again.push(Unfinished {
            test,
            outcome,
            seconds,
        });
        retried
    }

    /// The ends of the tests that are left.
    fn ends(self) -> impl Iterator<Item = Event> {
        let tried = self.tried;
        self.again.into_iter().map(move |left| Event::Finished {
            attempts: tried.get(&left.test).copied().unwrap_or(0),
            test: left.test,
            outcome: left.outcome,
            seconds: left.seconds,
        })
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
    fn a_test_that_its_process_ended_before_is_tried_next_time_and_is_not_flaky() {
        let mut tries = Tries::default();
        assert_eq!(tries.note(finished("x", not_run(), 0), false), None);
        assert_eq!(tries.again[0].test, "x");
        let passed = finished("x", Outcome::Passed, 1);
        assert_eq!(tries.note(passed.clone(), true), Some(passed));
        assert!(tries.again.is_empty());
    }

    #[test]
    fn a_test_that_failed_has_failed_though_no_later_try_gets_to_it() {
        let mut tries = Tries::default();
        let retried = tries.note(finished("x", failed(), 1), false);
        assert!(matches!(retried, Some(Event::Retried { attempt: 1, .. })));
        assert_eq!(tries.note(finished("x", not_run(), 0), true), None);
        let ends: Vec<_> = tries.ends().collect();
        assert_eq!(ends, [finished("x", failed(), 1)]);
    }
}
