//! A text that does not have the form that it should have.

/// The text is not what it is read as.
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
