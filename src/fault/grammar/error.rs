//! Why a text is not a list of edits.

use crate::fault::{ActionKind, Mode};

/// Why a text is not a list of edits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The text is not UTF-8.
    #[error(
        "the text is not UTF-8: write one rule a line (valid: {})",
        first_words()
    )]
    NotText,
    /// A word in a line is wrong.
    #[error("line {line}, column {column}: {what}")]
    At {
        /// Counted from 1.
        line: usize,
        /// Of the word that is wrong, in characters, counted from 1.
        column: usize,
        /// What is wrong with it, and what would be right.
        what: String,
    },
}

/// Whether a rule may begin with `word`.
pub(super) fn is_first(word: &str) -> bool {
    Mode::named(word).is_some() || ActionKind::named(word).is_some()
}

/// What a rule may begin with.
pub(super) fn first_words() -> String {
    format!("{}, {}", Mode::list(), ActionKind::list())
}
