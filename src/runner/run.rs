//! The engine: files to processes, their events to a reporter, the ends to a summary.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use super::worker;
use super::{Event, Outcome};

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration; searched for without it.
    pub config: Option<PathBuf>,
    /// How long a test may take that does not say so itself.
    pub timeout: Duration,
    /// How many files run at a time.
    pub jobs: usize,
}

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Report {
    /// These files will run.
    Files(usize),
    /// An event of a file.
    Event(PathBuf, Event),
    /// What a file with failures printed.
    Output(PathBuf, String),
    /// All is over.
    Ended(Summary),
}

/// Draws a run.
pub trait Reporter {
    /// Shows one more thing.
    fn report(&mut self, report: &Report);
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed, and files that did so as a whole.
    pub failed: usize,
    /// Tests that were left out.
    pub skipped: usize,
    /// How long it took.
    pub took: Duration,
}

impl Summary {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Finished { outcome, .. } => match outcome {
                Outcome::Passed => self.passed += 1,
                Outcome::Skipped { .. } => self.skipped += 1,
                Outcome::Failed { .. } => self.failed += 1,
            },
            Event::FileFailed { .. } => self.failed += 1,
            _ => {}
        }
    }
}

/// Runs `files` and tells `reporter`.
pub fn run(files: &[PathBuf], options: &RunOptions, reporter: &mut dyn Reporter) -> Summary {
    let started = Instant::now();
    let mut summary = Summary::default();
    reporter.report(&Report::Files(files.len()));
    let (queue, waiting) = unbounded();
    for file in files {
        let _ = queue.send(file.clone());
    }
    drop(queue);
    let (tell, reports) = unbounded();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, files.len().max(1)) {
            let (waiting, tell) = (waiting.clone(), tell.clone());
            // The thread outlives the processes that it starts: they die with it.
            scope.spawn(move || {
                waiting
                    .iter()
                    .for_each(|file| run_one(&file, options, &tell))
            });
        }
        drop(tell);
        for report in reports {
            if let Report::Event(_, event) = &report {
                summary.count(event);
            }
            reporter.report(&report);
        }
    });
    summary.took = started.elapsed();
    reporter.report(&Report::Ended(summary));
    summary
}

fn run_one(file: &Path, options: &RunOptions, tell: &Sender<Report>) {
    let say = |report| {
        let _ = tell.send(report);
    };
    let mut emit = |event| say(Report::Event(file.to_owned(), event));
    match worker::run_file(file, options, &mut emit) {
        Ok(output) if output.is_empty() => {}
        Ok(output) => say(Report::Output(file.to_owned(), output)),
        Err(error) => emit(Event::FileFailed {
            message: format!("cannot run the file: {error}"),
        }),
    }
}
