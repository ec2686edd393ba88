//! The one grammar for faults: a shell, the command line and Lua all write it.
//!
//! A text is lines. A line is a rule (armed), `!` and a rule or a tag (removed), or blank, or a comment that begins
//! with `#` (nothing).
//! A rule is a mode or an action, and `key=value` words.

mod action;
mod at;
mod delay;
mod error;
mod limit;
mod line;
mod rule;
mod selector;
mod value;

use std::fmt;

use super::{ActionKind, Mode, Rule};
use crate::units::nearest;
pub use at::{parse_sectors, sectors_meant};
pub use error::GrammarError;
use line::Line;
use value::is_tag;

/// One change to a fault set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Arms the rule, after those that are armed already.
    Add(Rule),
    /// Removes the rule; nothing happens when it is not armed.
    Remove(Rule),
    /// Removes the rules with this tag.
    RemoveTag(String),
}

/// Prints as its line in `faults`.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(rule) => write!(f, "{rule}"),
            Self::Remove(rule) => write!(f, "!{rule}"),
            Self::RemoveTag(tag) => write!(f, "!{tag}"),
        }
    }
}

/// Parses one rule, on line `line`.
pub fn parse_rule(text: &str, line: usize) -> Result<Rule, GrammarError> {
    Line::new(text, line, 0).rule()
}

/// Parses a whole text into its edits, in order; the first bad line rejects all of it.
pub fn parse_edits(text: &[u8]) -> Result<Vec<Edit>, GrammarError> {
    let text = std::str::from_utf8(text).map_err(|_| GrammarError::NotText)?;
    let lines = text.lines().enumerate();
    let edits = lines.filter(|(_, line)| !is_blank(line));
    edits.map(|(at, line)| parse_edit(line, at + 1)).collect()
}

/// Whether the line says nothing: a comment does not.
fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn parse_edit(text: &str, number: usize) -> Result<Edit, GrammarError> {
    let indent = text.len() - text.trim_start().len();
    let Some(rest) = text.trim_start().strip_prefix('!') else {
        return Line::new(text, number, 0).rule().map(Edit::Add);
    };
    let line = Line::new(rest, number, text[..indent].chars().count() + 1);
    match line.words.as_slice() {
        [] => {
            let what = "`!` expects the rule or the tag to remove, as in `!slow`";
            Err(line.error_at_end(what.into()))
        }
        [word] if is_tag(word) && Mode::named(word).is_none() => {
            Ok(Edit::RemoveTag((*word).to_owned()))
        }
        _ => line.rule().map(Edit::Remove),
    }
}

/// `; did you mean ...?`, if `text` begins with a misspelt action.
pub fn nearest_action(text: &str) -> Option<String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    let near = nearest(first, ActionKind::ALL.map(ActionKind::name).into_iter());
    Some(near).filter(|near| !near.is_empty())
}
