//! A run as JUnit XML, which CI engines show: a suite a file, a case a test.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{
    NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::{Event, Outcome, Report, Reporter};

/// Collects a run and writes it at its end.
pub struct JunitReporter {
    out: File,
    suites: BTreeMap<(PathBuf, u32), TestSuite>,
    /// The tries that failed, of tests that have no end yet.
    failed_tries: BTreeMap<(PathBuf, u32, String), Vec<TestRerun>>,
}

impl JunitReporter {
    /// Writes to `out`.
    pub fn new(out: File) -> Self {
        Self {
            out,
            suites: BTreeMap::new(),
            failed_tries: BTreeMap::new(),
        }
    }

    fn suite(&mut self, file: &Path, round: u32) -> &mut TestSuite {
        let suite = self.suites.entry((file.to_owned(), round));
        suite.or_insert_with(|| {
            let name = match round {
                1 => file.display().to_string(),
                round => format!("{} (round {round})", file.display()),
            };
            TestSuite::new(name)
        })
    }

    fn add(&mut self, file: &Path, round: u32, name: &str, status: TestCaseStatus, seconds: f64) {
        let mut case = TestCase::new(name, status);
        case.set_classname(file.display().to_string());
        case.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        self.suite(file, round).add_test_case(case);
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) {
        match event {
            Event::Retried {
                test,
                message,
                seconds,
                ..
            } => {
                let mut rerun = TestRerun::new(NonSuccessKind::Failure);
                rerun.set_time(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
                rerun
                    .set_message(first_line(message))
                    .set_description(message);
                let key = (file.to_owned(), round, test.clone());
                self.failed_tries.entry(key).or_default().push(rerun);
            }
            Event::Finished {
                test,
                outcome,
                seconds,
                ..
            } => {
                let mut status = status(outcome);
                let key = (file.to_owned(), round, test.clone());
                status.add_reruns(self.failed_tries.remove(&key).unwrap_or_default());
                self.add(file, round, test, status, *seconds);
            }
            Event::FileFailed { message } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status
                    .set_message(first_line(message))
                    .set_description(message);
                self.add(file, round, "the file", status, 0.0);
            }
            // Nobody knows which tests it has.
            Event::FileNotRun { .. } => drop(self.suite(file, round)),
            _ => {}
        }
    }

    fn write(&mut self, took: Duration) -> io::Result<()> {
        let mut junit = Junit::new("provium");
        junit.set_time(took);
        for mut suite in std::mem::take(&mut self.suites).into_values() {
            let time = suite.test_cases.iter().filter_map(|case| case.time).sum();
            suite.set_time(time);
            junit.add_test_suite(suite);
        }
        junit.serialize(&self.out).map_err(io::Error::other)
    }
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    match outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed { message } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(first_line(message))
                .set_description(message);
            status
        }
        Outcome::Skipped { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason);
            status
        }
        Outcome::NotRun { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("not run: {reason}"));
            status
        }
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

impl Reporter for JunitReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began { .. } => {}
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Output(file, round, text) => {
                self.suite(file, *round).set_system_out(text);
            }
            Report::Ended(summary) => return self.write(summary.took),
        }
        Ok(())
    }
}
