//! A run as the Test Anything Protocol has it, version 13: what `prove` and its kin read.

use std::io::Write;
use std::path::Path;

use super::{Event, Outcome, Report, Reporter, test_name};

/// Writes a line a test, and the plan at the end.
pub struct TapReporter {
    out: Box<dyn Write>,
    count: usize,
}

impl TapReporter {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write>) -> Self {
        Self { out, count: 0 }
    }

    fn line(&mut self, text: &str) {
        // Whoever reads has gone: the run's end does not depend on it.
        let _ = writeln!(self.out, "{text}");
    }

    fn result(&mut self, ok: bool, name: &str, directive: &str) {
        self.count += 1;
        let word = if ok { "ok" } else { "not ok" };
        let name = name.replace('\\', "\\\\").replace('#', "\\#");
        let name = name.replace('\n', " ");
        self.line(&format!("{word} {} - {name}{directive}", self.count));
    }

    /// A YAML block that belongs to the line before.
    fn message(&mut self, text: &str) {
        self.line("  ---\n  message: |");
        for line in text.lines() {
            self.line(&format!("    {line}"));
        }
        self.line("  ...");
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) {
        match event {
            Event::Finished {
                test,
                outcome,
                attempts,
                ..
            } => {
                let name = test_name(file, round, test);
                match outcome {
                    Outcome::Passed => {
                        self.result(true, &name, "");
                        if *attempts > 1 {
                            self.line(&format!("# flaky: passed at try {attempts}"));
                        }
                    }
                    Outcome::Skipped { reason } => {
                        let reason = reason.replace('\n', " ");
                        self.result(true, &name, &format!(" # SKIP {reason}"));
                    }
                    Outcome::NotRun { reason } => {
                        self.result(true, &name, &format!(" # SKIP not run: {reason}"));
                    }
                    Outcome::Failed { message } => {
                        self.result(false, &name, "");
                        self.message(message);
                    }
                }
            }
            Event::FileFailed { message } => {
                self.result(false, &test_name(file, round, "the file"), "");
                self.message(message);
            }
            Event::FileNotRun { reason } => {
                let skip = format!(" # SKIP not run: {reason}");
                self.result(true, &test_name(file, round, "the file"), &skip);
            }
            Event::Log { text } => {
                for line in text.lines() {
                    self.line(&format!("# {line}"));
                }
            }
            _ => {}
        }
    }
}

impl Reporter for TapReporter {
    fn report(&mut self, report: &Report) {
        match report {
            Report::Began { seed, .. } => {
                self.line("TAP version 13");
                if let Some(seed) = seed {
                    self.line(&format!("# shuffle seed {seed}"));
                }
            }
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Output(..) => {}
            Report::Ended(_) => {
                self.line(&format!("1..{}", self.count));
                let _ = self.out.flush();
            }
        }
    }
}
