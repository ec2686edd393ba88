//! The engine: files to processes, their events to reporters, the ends to a summary.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::memory::MemoryGate;
use super::worker::{self, list_file};
use super::{Event, Order, Outcome, Stop, TestInfo};

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
    /// Tests that the run was stopped before.
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

/// Runs `jobs` and tells `reporter`, until all is done or `stop` says so.
pub fn run(
    jobs: &[Job],
    options: &RunOptions,
    stop: &Stop,
    seed: Option<u64>,
    reporter: &mut dyn Reporter,
) -> Summary {
    let started = Instant::now();
    let mut summary = Summary::default();
    let mut tell_reporter = |report: &Report| {
        if let Err(error) = reporter.report(report) {
            stop.stop(format!("stopped: {error}"));
        }
    };
    tell_reporter(&Report::Began {
        files: jobs.len(),
        rounds: jobs.iter().map(|job| job.round).max().unwrap_or(1),
        seed,
    });
    let (queue, waiting) = unbounded();
    for job in jobs {
        let _ = queue.send(job.clone());
    }
    drop(queue);
    let (tell, reports) = unbounded();
    let gate = MemoryGate::new(options.memory);
    let failures = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, jobs.len().max(1)) {
            let runner = FileRunner {
                options,
                stop,
                gate: &gate,
                failures: &failures,
                tell: tell.clone(),
            };
            let waiting = waiting.clone();
            // The thread outlives the processes that it starts: they die with it.
            scope.spawn(move || runner.run_all(&waiting));
        }
        drop(tell);
        for report in reports {
            if let Report::Event(file, _, event) = &report {
                summary.count(file, event);
            }
            tell_reporter(&report);
        }
    });
    summary.took = started.elapsed();
    let not_run = summary.not_run + summary.files_not_run;
    summary.stopped = stop.reason().filter(|_| not_run > 0);
    tell_reporter(&Report::Ended(summary.clone()));
    summary
}

/// One of the threads that run files.
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
        let mut tries = Tries {
            planned: false,
            again: Vec::new(),
        };
        if let Tests::Broken(message) = &job.tests {
            let message = message.clone();
            return self.say(job, Event::FileFailed { message });
        }
        let mut only = job.tests.names().map(<[String]>::to_vec);
        for attempt in 1..=self.options.retries + 1 {
            self.try_once(job, only, attempt, &mut tries);
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
                    .map(|failed| failed.test.clone())
                    .collect(),
            );
        }
        // Stopped before the next try, or it did not get to them: what they failed with counts.
        for failed in tries.again {
            self.say(
                job,
                Event::Finished {
                    test: failed.test,
                    outcome: Outcome::Failed {
                        message: failed.message,
                    },
                    seconds: failed.seconds,
                    attempts: failed.attempt,
                },
            );
        }
    }

    /// Runs some of the file's tests; notes those that have to be tried again.
    fn try_once(&self, job: &Job, mut only: Option<Vec<String>>, attempt: u32, tries: &mut Tries) {
        let is_last = attempt > self.options.retries;
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
                if let Some(event) = tries.note(event, attempt, is_last) {
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
struct Tries {
    /// The plan has been told: later processes of the file are no more tests than there were.
    planned: bool,
    again: Vec<FailedTry>,
}

struct FailedTry {
    test: String,
    message: String,
    seconds: f64,
    attempt: u32,
}

impl Tries {
    /// What the reporters see of an event.
    fn note(&mut self, event: Event, attempt: u32, is_last: bool) -> Option<Event> {
        let (test, outcome, seconds) = match event {
            Event::Planned { .. } if self.planned => return None,
            Event::Planned { tests } => {
                self.planned = true;
                return Some(Event::Planned { tests });
            }
            Event::Finished {
                test,
                outcome,
                seconds,
                ..
            } => (test, outcome, seconds),
            event => return Some(event),
        };
        self.again.retain(|failed| failed.test != test);
        match outcome {
            Outcome::Failed { message } if !is_last => {
                self.again.push(FailedTry {
                    test: test.clone(),
                    message: message.clone(),
                    seconds,
                    attempt,
                });
                Some(Event::Retried {
                    test,
                    attempt,
                    message,
                    seconds,
                })
            }
            outcome => Some(Event::Finished {
                test,
                outcome,
                seconds,
                attempts: attempt,
            }),
        }
    }
}
