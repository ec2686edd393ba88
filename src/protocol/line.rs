//! What the lines of several control files have in common.

/// Stands in the place of rules where there are none.
pub const NO_RULES: &str = "-";

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
