//! Files of lines from elsewhere: of any length, with any bytes, perhaps not there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;

use crate::units::text;

/// Of a longer file this many bytes at its end are read.
const MOST: u64 = 16 << 20;
/// Of a longer line this many bytes are shown.
const LONGEST_LINE: usize = 4 << 10;

/// What a file of lines holds.
#[derive(Default)]
pub(super) struct Lines {
    text: String,
    /// How many bytes at its beginning are left out.
    pub(super) skipped: u64,
}

impl Lines {
    /// The lines of the file at `path`; none of one that is not there.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file?,
        };
        let skipped = file.metadata()?.len().saturating_sub(MOST);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        let partial = match skipped {
            0 => 0,
            _ => bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| at + 1),
        };
        Ok(Self {
            text: text::escaped(&bytes[partial..]),
            skipped: skipped + partial as u64,
        })
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }
}

/// Texts with a time. Times are seconds of the clock of dmesg.
#[derive(Default, Serialize)]
pub(super) struct Timed {
    at: Vec<f64>,
    /// How long each took, in milliseconds; empty for moments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ms: Vec<f64>,
    text: Vec<String>,
}

impl Timed {
    /// Lines `SECONDS TEXT`. A line without a time has that of the line before it.
    pub(super) fn moments(lines: &Lines) -> Self {
        let mut timed = Self::default();
        for line in lines.iter() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (at, text) = match (seconds(word), timed.at.last()) {
                (Some(at), _) => (at, rest),
                (None, Some(at)) => (*at, line),
                (None, None) => continue,
            };
            timed.at.push(at);
            timed.text.push(plain_line(text));
        }
        timed
    }

    /// Lines `SECONDS MILLISECONDS TEXT`, and how many lines are something else.
    pub(super) fn spans(lines: &Lines) -> (Self, usize) {
        let (mut timed, mut bad) = (Self::default(), 0);
        for line in lines.iter() {
            let mut words = line.splitn(3, ' ');
            let mut number = || words.next().and_then(seconds);
            match (number(), number(), words.next()) {
                (Some(at), Some(ms), Some(text)) => {
                    timed.at.push(at);
                    timed.ms.push(ms);
                    timed.text.push(plain_line(text));
                }
                _ => bad += 1,
            }
        }
        (timed, bad)
    }
}

/// A number that is one: neither negative, infinite nor none.
fn seconds(word: &str) -> Option<f64> {
    word.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// A line as it reads on a terminal: without colours and other sequences, its control characters escaped, its middle
/// left out if it is long.
pub(super) fn plain_line(line: &str) -> String {
    let shown = text::shortened(line.as_bytes(), LONGEST_LINE);
    let shown = text::escaped(&shown);
    let shown = console::strip_ansi_codes(shown.trim_end_matches('\r'));
    text::printable(&shown.replace('\t', "    ").replace('\n', " "))
}

/// The same for a text of several lines.
pub(super) fn plain_text(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(plain_line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Lines {
        Lines {
            text: text.to_owned(),
            skipped: 0,
        }
    }

    #[test]
    fn line_without_a_time_has_that_of_the_line_before() {
        let timed = Timed::moments(&of("no time\n1.5 one\ntwo\n\n2 three\nNaN four\n-1 five"));
        assert_eq!(timed.at, [1.5, 1.5, 1.5, 2.0, 2.0, 2.0]);
        assert_eq!(
            timed.text,
            ["one", "two", "", "three", "NaN four", "-1 five"]
        );
    }

    #[test]
    fn damaged_call_is_counted() {
        let (timed, bad) = Timed::spans(&of("1.5 20.25 vm:run(\"a b\")\n1.5 x y\n1.5\n"));
        assert_eq!((timed.at, timed.ms), (vec![1.5], vec![20.25]));
        assert_eq!(timed.text, ["vm:run(\"a b\")"]);
        assert_eq!(bad, 2);
    }

    #[test]
    fn line_loses_what_controls_a_terminal() {
        let line = "\u{1b}[31mred\u{1b}[0m\ttab \u{7} \u{202e}turned\r";
        assert_eq!(plain_line(line), "red    tab \\u{7} \\u{202e}turned");
    }

    #[test]
    fn long_file_is_read_from_its_end() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("trace");
        std::fs::write(&path, "0123456789abcde\n".repeat((1 << 20) + 10)).unwrap();
        let lines = Lines::read(&path).unwrap();
        assert_eq!(lines.skipped, 160 + 16);
        assert!(lines.iter().all(|line| line == "0123456789abcde"));
        assert_eq!(lines.iter().count(), (1 << 20) - 1);
    }

    #[test]
    fn file_that_is_not_there_has_no_lines() {
        let lines = Lines::read(Path::new("/nowhere/at/all")).unwrap();
        assert_eq!(lines.iter().count(), 0);
    }
}
