//! A run as JSON, one object on each line. Schema: docs/events.schema.json.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::report::{Report, Reporter, Stopped, Summary};
use crate::units::text;

/// Writes each event when it comes.
pub struct JsonReporter {
    out: Box<dyn Write>,
    start: Instant,
}

#[derive(Serialize)]
struct Line<T> {
    /// Seconds since the run began.
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    #[serde(flatten)]
    event: T,
}

/// Events of the whole run.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum RunEvent<'a> {
    RunBegan {
        files: usize,
        rounds: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    Output {
        text: &'a str,
    },
    RunEnded {
        passed: usize,
        flaky: usize,
        failed: usize,
        skipped: usize,
        not_run: usize,
        files_not_run: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped: Option<String>,
        seconds: f64,
    },
}

impl JsonReporter {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write>) -> Self {
        Self {
            out,
            start: Instant::now(),
        }
    }

    fn line(&mut self, file: Option<(&Path, u32)>, event: impl Serialize) -> io::Result<()> {
        let line = Line {
            time: self.start.elapsed().as_secs_f64(),
            file: file.map(|(file, _)| text::path(file)),
            round: file.map(|(_, round)| round),
            event,
        };
        let text = escape_controls(serde_json::to_string(&line)?);
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }
}

/// JSON without control characters, which a terminal could act on. Those that JSON permits occur only in
/// strings, where they may be escaped.
pub fn escape_controls(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_control() {
            true => escaped += &format!("\\u{:04x}", u32::from(c)),
            false => escaped.push(c),
        }
    }
    escaped
}

impl Reporter for JsonReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began {
                files,
                rounds,
                seed,
            } => self.line(
                None,
                RunEvent::RunBegan {
                    files: *files,
                    rounds: *rounds,
                    seed: *seed,
                },
            ),
            Report::Event(file, round, event) => self.line(Some((file, *round)), event),
            Report::Output(file, round, text) => {
                self.line(Some((file, *round)), RunEvent::Output { text })
            }
            Report::Ended(summary) => self.line(None, ended(summary)),
        }
    }
}

fn ended(summary: &Summary) -> RunEvent<'static> {
    RunEvent::RunEnded {
        passed: summary.passed,
        flaky: summary.flaky,
        failed: summary.failed,
        skipped: summary.skipped,
        not_run: summary.not_run,
        files_not_run: summary.files_not_run,
        stopped: summary.stopped.as_ref().map(Stopped::to_string),
        seconds: summary.took.as_secs_f64(),
    }
}
