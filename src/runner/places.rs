//! Where a failure is: the line of the file that it names, or the line that declares the test; and its reason in one line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::events::{Event, TestInfo};
use crate::units::text;

/// The tests that a run has planned.
#[derive(Default)]
pub(super) struct Places {
    tests: BTreeMap<(PathBuf, String), TestInfo>,
}

/// A failure in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The line, from 1; 0 if it is not known.
    pub(super) line: u32,
    /// The first line of the reason, without its place.
    pub(super) reason: String,
}

impl Places {
    /// Notes what a plan says.
    pub(super) fn note(&mut self, file: &Path, event: &Event) {
        if let Event::Planned { tests } = event {
            let tests = tests.iter();
            let place = |test: &TestInfo| ((file.to_owned(), test.name.clone()), test.clone());
            self.tests.extend(tests.map(place));
        }
    }

    /// What its file declares of a test.
    pub(super) fn test(&self, file: &Path, test: &str) -> Option<&TestInfo> {
        self.tests.get(&(file.to_owned(), test.to_owned()))
    }

    /// The failure of a test, or of a file without one, with this message.
    pub(super) fn failure(&self, file: &Path, test: Option<&str>, message: &str) -> Failure {
        let file_name = format!("{}:", text::path(file));
        let of_line = |line: &str| {
            let (number, rest) = line
                .trim_start()
                .strip_prefix(&file_name)?
                .split_once(':')?;
            Some((number.parse().ok()?, rest.trim_start().to_owned()))
        };
        let declared = test.and_then(|test| self.test(file, test));
        let declared = declared.map_or(0, |test| test.line);
        let first = message.lines().next().unwrap_or_default();
        let line = message.lines().find_map(of_line).map(|(line, _)| line);
        Failure {
            line: line.unwrap_or(declared),
            reason: of_line(first).map_or_else(|| first.to_owned(), |(_, reason)| reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_where_its_message_says_or_where_its_test_is_declared() {
        let mut places = Places::default();
        let file = Path::new("a.test.lua");
        let test = TestInfo {
            name: "x".into(),
            line: 3,
            ..TestInfo::default()
        };
        places.note(file, &Event::Planned { tests: vec![test] });
        let failure = |message: &str| {
            let Failure { line, reason } = places.failure(file, Some("x"), message);
            (line, reason)
        };
        let own = failure("a.test.lua:7: vm:run: no\nstack");
        assert_eq!(own, (7, "vm:run: no".to_owned()));
        let held = failure("held\na.test.lua:8: time");
        assert_eq!(held, (8, "held".to_owned()));
        let other = failure("b.lua:9: no");
        assert_eq!(other, (3, "b.lua:9: no".to_owned()));
        assert_eq!(places.failure(file, None, "no").line, 0);
    }
}
