//! What the lines of several control files have in common.

use std::borrow::Cow;
use std::time::Duration;

use crate::units::duration::parse_duration;

/// Stands in the place of rules where there are none.
pub const NO_RULES: &str = "-";

/// `word` as a shell takes it for one. A NUL byte, which no shell takes, stays as it is.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// The time that the word SECONDS of a line says, by the clock of dmesg.
pub(super) fn parse_seconds(word: &str) -> Option<Duration> {
    parse_duration(&format!("{word}s"))
}

/// A text that is not what it was read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadLine {
    expected: &'static str,
    text: String,
}

impl BadLine {
    /// `text` was read as `expected`, such as "a line of `disks`".
    pub fn new(expected: &'static str, text: &str) -> Self {
        Self {
            expected,
            text: text.to_owned(),
        }
    }
}
