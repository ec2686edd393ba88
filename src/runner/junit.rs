//! A run as JUnit XML, which CI engines show: one suite for each file, one case for each test.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{
    NonSuccessKind, Property, Report as Junit, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::names::Names;
use super::places::Places;
use super::report::{Report, Reporter};
use super::sweeps;
use crate::events::{Event, Outcome};
use crate::evidence::{Evidence, FILE_TEST, TestRecord};
use crate::units::text::{self, harmless, printable};

/// How many bytes of a test's log the report keeps.
const LOGGED: usize = 1 << 20;
/// The text in place of the rest.
const LOST: &str = "... (more was logged)\n";

/// Collects a run and writes it at its end.
pub struct JunitReporter {
    out: Box<dyn Write>,
    names: Names,
    places: Places,
    /// The folders of failed tests outlive the run.
    keeps_folders: bool,
    suites: BTreeMap<(PathBuf, u32), TestSuite>,
    /// The tries that failed, of tests that have no end yet.
    failed_tries: BTreeMap<(PathBuf, u32, String), Vec<TestRerun>>,
    /// The log since the last end of a test.
    logged: BTreeMap<(PathBuf, u32), String>,
    /// What the sweeps since then have found.
    swept: BTreeMap<(PathBuf, u32), Vec<Property>>,
}

impl JunitReporter {
    /// Writes to `out`. With `keeps_folders` it names the folder that a failed test leaves.
    pub fn new(out: Box<dyn Write>, keeps_folders: bool) -> Self {
        Self {
            out,
            names: Names::default(),
            places: Places::default(),
            keeps_folders,
            suites: BTreeMap::new(),
            failed_tries: BTreeMap::new(),
            logged: BTreeMap::new(),
            swept: BTreeMap::new(),
        }
    }

    fn suite(&mut self, file: &Path, round: u32) -> &mut TestSuite {
        let suite = self.suites.entry((file.to_owned(), round));
        suite.or_insert_with(|| TestSuite::new(self.names.file(file, round)))
    }

    /// Adds a test case; with the folder that the test leaves, if it does.
    fn add(
        &mut self,
        (file, round, name): (&Path, u32, &str),
        status: TestCaseStatus,
        seconds: f64,
        evidence: Option<&Path>,
    ) {
        let mut case = TestCase::new(printable(name), status);
        let file_name = printable(&text::path(file));
        case.set_classname(file_name.as_str());
        case.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        case.extra.insert("file".into(), file_name.into());
        if let Some(test) = self.places.test(file, name) {
            case.extra
                .insert("line".into(), test.line.to_string().into());
            let tags = test
                .tags
                .iter()
                .map(|tag| Property::new("tag", printable(tag)));
            case.add_properties(tags);
        }
        if let Some(folder) = evidence {
            self.add_evidence(&mut case, folder);
        }
        case.add_properties(
            self.swept
                .remove(&(file.to_owned(), round))
                .unwrap_or_default(),
        );
        if let Some(logged) = self.logged.remove(&(file.to_owned(), round)) {
            case.set_system_out(logged);
        }
        self.suite(file, round).add_test_case(case);
    }

    /// Adds what the folder of a test knows: versions, seeds, the calls and the consoles.
    fn add_evidence(&self, case: &mut TestCase, folder: &Path) {
        if self.keeps_folders && !matches!(case.status, TestCaseStatus::Success { .. }) {
            case.add_property(Property::new("artifacts", text::path(folder)));
        }
        if let Ok(record) = TestRecord::read(folder) {
            case.add_properties(properties(&record));
        }
        let found = Evidence::read(folder);
        let consoles = found.consoles.iter().map(|console| {
            let lines = console.lines.join("\n");
            format!("console of vm {}:\n{lines}", console.vm)
        });
        let calls =
            (!found.calls.is_empty()).then(|| format!("calls:\n{}", found.calls.join("\n")));
        let parts: Vec<_> = calls.into_iter().chain(consoles).collect();
        if !parts.is_empty() {
            let log = harmless(&parts.join("\n"));
            case.set_system_err(text::escaped(&text::shortened(log.as_bytes(), LOGGED)));
        }
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) {
        self.places.note(file, event);
        match event {
            Event::Retried {
                test,
                message,
                seconds,
                ..
            } => {
                let key = (file.to_owned(), round, test.clone());
                let tries = self.failed_tries.entry(key).or_default();
                tries.push(rerun(message, *seconds));
            }
            Event::Finished {
                test,
                outcome,
                seconds,
                evidence,
                ..
            } => self.finished((file, round, test), outcome, *seconds, evidence.as_deref()),
            Event::FileFailed { message, evidence } => {
                let status = non_success(NonSuccessKind::Error, message);
                self.add((file, round, FILE_TEST), status, 0.0, evidence.as_deref());
            }
            // The names of its tests are not known.
            Event::FileNotRun { reason } => {
                self.not_run(file, round, &format!("all of the file: {reason}"));
            }
            Event::Log { text } => self.log(file, round, text),
            event => self.sweep(file, round, event),
        }
    }

    fn finished(
        &mut self,
        (file, round, test): (&Path, u32, &str),
        outcome: &Outcome,
        seconds: f64,
        evidence: Option<&Path>,
    ) {
        let mut status = match outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Failed { message } => non_success(NonSuccessKind::Failure, message),
            Outcome::Skipped { reason } => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(harmless(reason));
                status
            }
            Outcome::NotRun { reason } => {
                return self.not_run(file, round, &format!("{test}: {reason}"));
            }
        };
        let key = (file.to_owned(), round, test.to_owned());
        status.add_reruns(self.failed_tries.remove(&key).unwrap_or_default());
        self.add((file, round, test), status, seconds, evidence);
    }

    /// Notes `text` as a property, since JUnit has no word for a test that was not run.
    fn not_run(&mut self, file: &Path, round: u32, text: &str) {
        let property = Property::new("not run", printable(text));
        self.suite(file, round).add_property(property);
    }

    fn sweep(&mut self, file: &Path, round: u32, event: &Event) {
        if let Some(line) = sweeps::line(event) {
            self.log(file, round, &line);
        }
        if let (Event::Swept { disk, .. }, Some(found)) = (event, sweeps::headline(event)) {
            let property = Property::new(format!("sweep {}", printable(disk)), found);
            let swept = self.swept.entry((file.to_owned(), round)).or_default();
            swept.push(property);
        }
    }

    fn log(&mut self, file: &Path, round: u32, text: &str) {
        let logged = self.logged.entry((file.to_owned(), round)).or_default();
        if logged.len() + text.len() < LOGGED {
            *logged += &(harmless(text) + "\n");
        } else if !logged.ends_with(LOST) {
            *logged += LOST;
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
        junit.serialize(&mut self.out).map_err(io::Error::other)?;
        self.out.flush()
    }
}

/// The versions and the seeds of a test.
fn properties(record: &TestRecord) -> Vec<Property> {
    let versions = record.versions.iter();
    let versions =
        versions.map(|(name, version)| Property::new(format!("version {name}"), version.as_str()));
    let seeds = record.seeds.rules.iter();
    let seeds = seeds.map(|(disk, seed)| Property::new(format!("seed {disk}"), seed.to_string()));
    let shuffle = record.seeds.shuffle.iter();
    let shuffle = shuffle.map(|seed| Property::new("seed shuffle", seed.to_string()));
    let again = Property::new("run again", printable(&record.command));
    versions
        .chain(seeds)
        .chain(shuffle)
        .chain([again])
        .collect()
}

/// A try that failed.
fn rerun(message: &str, seconds: f64) -> TestRerun {
    let message = harmless(message);
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    rerun
        .set_message(first_line(&message))
        .set_description(&message);
    rerun
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let message = harmless(message);
    let mut status = TestCaseStatus::non_success(kind);
    status
        .set_message(first_line(&message))
        .set_description(&message);
    status
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

impl Reporter for JunitReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began { rounds, .. } => self.names = Names::new(*rounds),
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Output(file, round, text) => {
                self.suite(file, *round).set_system_out(harmless(text));
            }
            Report::Ended(summary) => return self.write(summary.took),
        }
        Ok(())
    }
}
