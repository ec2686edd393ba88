//! Failures as annotations of GitHub: lines that its runner turns into remarks at the lines of a pull request.
//!
//! The format: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::names::Names;
use super::places::Places;
use super::report::{Report, Reporter};
use crate::events::{Event, Outcome};
use crate::units::text::{self, harmless};

/// Characters of a message that are shown. GitHub shows at most 4096 of one.
const LONGEST: usize = 4000;

/// Writes an annotation for each failure, and a warning for each flaky test.
pub struct GithubReporter {
    out: Box<dyn Write>,
    names: Names,
    places: Places,
    /// The root of the repository, which the names of files begin at.
    root: Option<PathBuf>,
}

impl GithubReporter {
    /// Writes to `out`, which the runner of GitHub reads. Files are named as they are below `root`.
    pub fn new(out: Box<dyn Write>, root: Option<PathBuf>) -> Self {
        Self {
            out,
            names: Names::default(),
            places: Places::default(),
            root,
        }
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) -> io::Result<()> {
        self.places.note(file, event);
        match event {
            Event::Finished {
                test,
                outcome: Outcome::Failed { message },
                ..
            } => self.annotate("error", file, round, Some(test), message),
            Event::Finished {
                test,
                outcome: Outcome::Passed,
                attempts: attempts @ 2..,
                ..
            } => {
                let message = format!("flaky: it passed at try {attempts}");
                self.annotate("warning", file, round, Some(test), &message)
            }
            Event::FileFailed { message, .. } => self.annotate("error", file, round, None, message),
            _ => Ok(()),
        }
    }

    fn annotate(
        &mut self,
        kind: &str,
        file: &Path,
        round: u32,
        test: Option<&str>,
        message: &str,
    ) -> io::Result<()> {
        let line = self.places.failure(file, test, message).line.max(1);
        let title = match test {
            Some(test) => self.names.test(file, round, test),
            None => self.names.file(file, round),
        };
        let message: String = harmless(message).chars().take(LONGEST).collect();
        writeln!(
            self.out,
            "::{kind} file={},line={line},title={}::{}",
            escaped(&self.in_repository(file), true),
            escaped(&title, true),
            escaped(&message, false)
        )?;
        self.out.flush()
    }

    fn in_repository(&self, file: &Path) -> String {
        let absolute = std::path::absolute(file).ok();
        let below = self.root.as_ref().zip(absolute.as_ref());
        let below = below.and_then(|(root, file)| file.strip_prefix(root).ok());
        text::path(below.unwrap_or(file))
    }
}

/// A text as part of a command. Of the values of its keys, colons and commas are escaped too.
fn escaped(text: &str, is_value: bool) -> String {
    let text = text.replace('%', "%25");
    let text = text.replace('\r', "%0D").replace('\n', "%0A");
    match is_value {
        true => text.replace(':', "%3A").replace(',', "%2C"),
        false => text,
    }
}

impl Reporter for GithubReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began { rounds, .. } => self.names = Names::new(*rounds),
            Report::Event(file, round, event) => return self.event(file, *round, event),
            Report::Output(..) | Report::Ended(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_annotation_is_one_line_with_nothing_of_the_syntax() {
        assert_eq!(escaped("50%, a:b\r\nc", true), "50%25%2C a%3Ab%0D%0Ac");
        assert_eq!(escaped("50%, a:b\nc", false), "50%25, a:b%0Ac");
    }
}
