//! The names of files and tests, for people and in reports.

use std::path::Path;

use crate::units::text;

/// With several rounds, names have the number of the round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    rounds: u32,
}

impl Names {
    /// The names in a run of `rounds` rounds.
    pub(super) fn new(rounds: u32) -> Self {
        Self { rounds }
    }

    /// `FILE: TEST`, with the round when there are several, in one line.
    pub(super) fn test(self, file: &Path, round: u32, test: &str) -> String {
        let file = text::path(file);
        text::printable(&format!("{file}: {test}{}", self.round(round)))
    }

    /// `FILE`, with the round when there are several, in one line.
    pub(super) fn file(self, file: &Path, round: u32) -> String {
        text::printable(&(text::path(file) + &self.round(round)))
    }

    fn round(self, round: u32) -> String {
        match self.rounds {
            0 | 1 => String::new(),
            _ => format!(" (round {round})"),
        }
    }
}
