//! The failures of a run in short, for its end: one line for each, and the command line that runs them again.

use std::path::{Path, PathBuf};

use super::places::{Failure, Places};
use crate::events::{Event, Outcome};
use crate::evidence::{FILE_TEST, command_line, quoted};
use crate::units::text::{self, printable};

/// Lines that a screen shows: a failure that is not on it any more is listed again.
const SCREEN: usize = 20;
/// Failures that are listed.
const MOST: usize = 50;
/// Characters of the beginning of a long line that are shown, and of its end.
const LONGEST: [usize; 2] = [160, 80];

/// The words of a command line that runs something again.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// The words before any file.
    pub words: Vec<String>,
    /// The files and folders of the run; empty for all.
    pub paths: Vec<PathBuf>,
}

/// The failures by now.
pub(super) struct Failures {
    again: Again,
    /// The test that failed last, and the line about each failure.
    last: Option<(PathBuf, String)>,
    lines: Vec<String>,
    /// How many lines the reports of failures took.
    shown: usize,
}

impl Failures {
    pub(super) fn new(again: Again) -> Self {
        Self {
            again,
            last: None,
            lines: Vec::new(),
            shown: 0,
        }
    }

    pub(super) fn note(&mut self, places: &Places, file: &Path, event: &Event) {
        match event {
            Event::Finished {
                test,
                outcome: Outcome::Failed { message },
                ..
            } => self.add(places, file, Some(test), message),
            Event::FileFailed { message, .. } => self.add(places, file, None, message),
            Event::Finished { .. } | Event::Log { .. } | Event::Swept { .. } => self.shown += 1,
            _ => {}
        }
    }

    fn add(&mut self, places: &Places, file: &Path, test: Option<&str>, message: &str) {
        let Failure { line, reason } = places.failure(file, test, message);
        let place = match line {
            0 => text::path(file),
            line => format!("{}:{line}", text::path(file)),
        };
        let test = test.unwrap_or(FILE_TEST);
        let text = printable(&format!("{place} {test}: {reason}"));
        self.lines
            .push(text::without_middle(&text, LONGEST[0], LONGEST[1]));
        self.shown += 1 + message.lines().count();
        self.last = Some((file.to_owned(), test.to_owned()));
    }

    /// What to say at the end of the run.
    pub(super) fn lines(&self) -> Vec<String> {
        let Some((file, test)) = &self.last else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let count = self.lines.len();
        if count > 1 || self.shown > SCREEN {
            let word = if count == 1 { "failure" } else { "failures" };
            lines.push(format!("{count} {word}:"));
            lines.extend(self.lines.iter().take(MOST).map(|line| format!("  {line}")));
            let others = count.saturating_sub(MOST);
            lines.extend((others > 0).then(|| format!("  and {others} more")));
        }
        let words = &self.again.words;
        let again = match count {
            1 => command_line(words, &text::path(file), Some(test)),
            _ => {
                let paths: Vec<_> = self
                    .again
                    .paths
                    .iter()
                    .map(|path| text::path(path))
                    .collect();
                let words = words.iter().chain(&paths).map(String::as_str);
                quoted(words.chain(["--rerun-failed"]))
            }
        };
        lines.push(format!("run again: {}", printable(&again)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(messages: &[&str]) -> Vec<String> {
        let mut failures = Failures::new(Again {
            words: vec!["provium".into(), "test".into()],
            paths: vec!["a folder".into()],
        });
        for (n, message) in messages.iter().enumerate() {
            let event = Event::Finished {
                test: format!("x{n}"),
                outcome: Outcome::Failed {
                    message: (*message).to_owned(),
                },
                seconds: 0.0,
                attempts: 1,
                evidence: None,
            };
            failures.note(&Places::default(), Path::new("a.test.lua"), &event);
        }
        failures.lines()
    }

    #[test]
    fn failures_are_listed_unless_there_is_one_on_the_screen() {
        assert!(failures(&[]).is_empty());
        let again = "run again: provium test a.test.lua --filter x0";
        assert_eq!(failures(&["a.test.lua:3: no\nmore"]), [again]);
        let long = "no\n".repeat(30);
        assert_eq!(
            failures(&[&long]),
            ["1 failure:", "  a.test.lua x0: no", again]
        );
        assert_eq!(
            failures(&["a.test.lua:3: no\nmore", "b"]),
            [
                "2 failures:",
                "  a.test.lua:3 x0: no",
                "  a.test.lua x1: b",
                "run again: provium test 'a folder' --rerun-failed",
            ]
        );
    }
}
