//! A run in the Test Anything Protocol, version 13, which `prove` and similar tools read.

use std::io::{self, Write};
use std::path::Path;

use super::names::Names;
use super::report::{Report, Reporter};
use super::sweeps;
use crate::events::{Event, Outcome};
use crate::units::text::{harmless, printable};

/// Writes one line for each test, and the plan at the end. A test that was not run counts in the plan
/// and has no line, since TAP has no word for it.
pub struct TapReporter {
    out: Box<dyn Write>,
    names: Names,
    count: usize,
    not_run: usize,
}

impl TapReporter {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write>) -> Self {
        Self {
            out,
            names: Names::default(),
            count: 0,
            not_run: 0,
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn comment(&mut self, text: &str) -> io::Result<()> {
        harmless(text)
            .lines()
            .try_for_each(|line| self.line(&format!("# {line}")))
    }

    fn result(&mut self, ok: bool, name: &str, directive: &str) -> io::Result<()> {
        self.count += 1;
        let word = if ok { "ok" } else { "not ok" };
        let name = name.replace('\\', "\\\\").replace('#', "\\#");
        self.line(&format!("{word} {} - {name}{directive}", self.count))
    }

    /// A YAML block that belongs to the line before.
    fn message(&mut self, text: &str) -> io::Result<()> {
        self.line("  ---\n  message: |")?;
        for line in harmless(text).lines() {
            self.line(&format!("    {line}"))?;
        }
        self.line("  ...")
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) -> io::Result<()> {
        match event {
            Event::Finished {
                test,
                outcome,
                attempts,
                ..
            } => self.finished(&self.names.test(file, round, test), outcome, *attempts),
            Event::FileFailed { message, .. } => {
                self.result(false, &self.names.test(file, round, "the file"), "")?;
                self.message(message)
            }
            // The names of its tests are not known.
            Event::FileNotRun { reason } => {
                let name = self.names.file(file, round);
                self.comment(&format!("not run: {name}: {reason}"))
            }
            Event::Log { text } => self.comment(text),
            event => sweeps::line(event).map_or(Ok(()), |line| self.comment(&line)),
        }
    }

    fn finished(&mut self, name: &str, outcome: &Outcome, attempts: u32) -> io::Result<()> {
        match outcome {
            Outcome::Passed => {
                self.result(true, name, "")?;
                match attempts > 1 {
                    true => self.comment(&format!("flaky: passed at try {attempts}")),
                    false => Ok(()),
                }
            }
            Outcome::Skipped { reason } => {
                let skip = format!(" # SKIP {}", printable(reason));
                self.result(true, name, &skip)
            }
            Outcome::NotRun { reason } => {
                self.not_run += 1;
                self.comment(&format!("not run: {name}: {reason}"))
            }
            Outcome::Failed { message } => {
                self.result(false, name, "")?;
                self.message(message)
            }
        }
    }
}

impl Reporter for TapReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began { seed, rounds, .. } => {
                self.names = Names::new(*rounds);
                self.line("TAP version 13")?;
                match seed {
                    Some(seed) => self.comment(&format!("shuffle seed {seed}")),
                    None => Ok(()),
                }
            }
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Output(..) => Ok(()),
            Report::Ended(summary) => {
                self.line(&format!("1..{}", self.count + self.not_run))?;
                if let Some(stopped) = &summary.stopped {
                    let reason = printable(&stopped.to_string());
                    self.line(&format!("Bail out! {reason}"))?;
                }
                self.out.flush()
            }
        }
    }
}
