//! The page of a run: `provium test --html`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::events::{Event, Outcome, TestInfo};
use crate::evidence::{Evidence, TestOutcome, TestRecord, command_line, folder_name, write_test};
use crate::html;
use crate::os::sys;
use crate::runner::{Report, Reporter};
use crate::units::text;

/// Collects the folders that tests leave, and writes the page at the end.
pub(super) struct HtmlReporter {
    to: PathBuf,
    /// Where the folders of tests are that did not run.
    scratch: PathBuf,
    /// The words that run a file again, without the file.
    words: Vec<String>,
    run: html::Run,
    planned: Vec<(PathBuf, TestInfo)>,
}

impl HtmlReporter {
    /// Writes to the file `to`.
    pub(super) fn new(to: &Path, scratch: &Path, words: Vec<String>, command: String) -> Self {
        Self {
            to: to.to_owned(),
            scratch: scratch.to_owned(),
            words,
            run: html::Run {
                tests: Vec::new(),
                began: SystemTime::now(),
                monotonic_began: sys::monotonic().as_secs_f64(),
                seconds: 0.0,
                command,
            },
            planned: Vec::new(),
        }
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) -> io::Result<()> {
        match event {
            Event::Planned { tests } => {
                let tests = tests.iter().map(|test| (file.to_owned(), test.clone()));
                self.planned.extend(tests);
            }
            Event::Retried { evidence, .. }
            | Event::FileFailed { evidence, .. }
            | Event::Finished {
                evidence: evidence @ Some(_),
                ..
            } => self.run.tests.extend(evidence.clone()),
            Event::Finished {
                test,
                outcome: Outcome::NotRun { reason },
                ..
            } => self.not_run(file, round, test, reason)?,
            _ => {}
        }
        Ok(())
    }

    /// Makes the folder of a test that did not run.
    fn not_run(&mut self, file: &Path, round: u32, test: &str, reason: &str) -> io::Result<()> {
        let mut planned = self.planned.iter();
        let known = planned.find(|(of, known)| of == file && known.name == test);
        let known = known.map(|(_, test)| test.clone()).unwrap_or_default();
        let file = text::path(file);
        let folder = self.scratch.join(folder_name(&file, test, round, 0));
        let record = TestRecord {
            line: known.line,
            name: test.to_owned(),
            tags: known.tags,
            round,
            outcome: TestOutcome::NotRun,
            message: reason.to_owned(),
            command: command_line(&self.words, &file, Some(test)),
            file,
            ..TestRecord::default()
        };
        write_test(&folder, &record, &Evidence::default(), None)?;
        self.run.tests.push(folder);
        Ok(())
    }
}

impl Reporter for HtmlReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Ended(summary) => {
                self.run.seconds = summary.took.as_secs_f64();
                html::write(&self.run, &self.to)
            }
            Report::Began { .. } | Report::Output(..) => Ok(()),
        }
    }
}
