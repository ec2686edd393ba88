//! A line of a text: its words, and errors that say where in it something is wrong.

use super::error::{GrammarError, is_first};
use crate::units::text::readable;

/// The words of a line.
pub(super) struct Line<'a> {
    number: usize,
    text: &'a str,
    /// Characters that stand before `text`.
    offset: usize,
    pub(super) words: Vec<&'a str>,
}

/// A `key=value` word.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Line<'a> {
    /// Line `number` of a text, from 1: `text`, with `offset` characters before it that are left out.
    pub(super) fn new(text: &'a str, number: usize, offset: usize) -> Self {
        let words = text.split_whitespace().collect();
        Self {
            number,
            text,
            offset,
            words,
        }
    }

    /// An error at `word`, a part of the line.
    pub(super) fn error(&self, word: &str, what: String) -> GrammarError {
        let bytes = word.as_ptr() as usize - self.text.as_ptr() as usize;
        GrammarError::At {
            line: self.number,
            column: self.offset + self.text[..bytes].chars().count() + 1,
            what,
        }
    }

    /// An error at the end of the line.
    pub(super) fn error_at_end(&self, what: String) -> GrammarError {
        self.error(&self.text[self.text.len()..], what)
    }

    /// The value of `pair` is not as `expected`.
    pub(super) fn bad(&self, pair: Pair<'_>, expected: &str) -> GrammarError {
        let what = format!("`{}={}` expects {expected}", pair.key, readable(pair.value));
        self.error(pair.key, what)
    }

    /// The words as pairs.
    pub(super) fn pairs(&self, words: &[&'a str]) -> Result<Vec<Pair<'a>>, GrammarError> {
        let pair = |word: &&'a str| match word.split_once('=') {
            Some((key, value)) => Ok(Pair { key, value }),
            None => Err(self.error(
                word,
                format!("`{}` is not key=value{}", readable(word), rule_hint(word)),
            )),
        };
        words.iter().map(pair).collect()
    }
}

/// What to say of `word`, in the middle of a line, if a rule begins with it.
fn rule_hint(word: &str) -> &'static str {
    match is_first(word) {
        true => ": a rule is a line of its own, or on the command line a word of its own in quotes",
        false => "",
    }
}
