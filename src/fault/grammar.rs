//! The one grammar for faults: what a shell echoes, the command line passes and Lua names.
//!
//! A text is lines; a line is a rule (armed), `!` and a rule (removed), or blank (nothing).

use super::{Mode, Rule};
use crate::duration::parse_duration;

/// One change to a fault set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Arms the rule, after those that are armed already.
    Add(Rule),
    /// Takes the rule away; nothing happens when it is not armed.
    Remove(Rule),
}

/// Why a text is not a list of edits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The text is not UTF-8.
    #[error(
        "the text is not UTF-8: write one rule a line (valid: {})",
        Mode::list()
    )]
    NotText,
    /// A line names no rule.
    #[error("line {line}: unknown mode `{word}` (valid: {})", Mode::list())]
    UnknownMode {
        /// Counted from 1.
        line: usize,
        /// What stands there, control characters escaped and cut to a readable length.
        word: String,
    },
    /// What follows the mode is no selector.
    #[error("line {line}: bad selector `{word}` (valid: after=DURATION, as in after=25ms)")]
    BadSelector {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// A `!` with nothing behind it.
    #[error(
        "line {line}: `!` wants the rule to remove, as in `!slow` (valid: {})",
        Mode::list()
    )]
    RemoveNothing {
        /// Counted from 1.
        line: usize,
    },
}

/// Parses one rule, on line `line`: a mode, and from when on it acts.
pub fn parse_rule(text: &str, line: usize) -> Result<Rule, GrammarError> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let unknown = || GrammarError::UnknownMode {
        line,
        word: readable(word),
    };
    let mut rule = Mode::named(word).ok_or_else(unknown)?.rule();
    for word in rest.split_whitespace() {
        let bad = || GrammarError::BadSelector {
            line,
            word: readable(word),
        };
        let after = word.strip_prefix("after=").ok_or_else(bad)?;
        rule.after = parse_duration(after).ok_or_else(bad)?;
    }
    Ok(rule)
}

/// Parses a whole text into its edits, in order; the first bad line rejects all of it.
pub fn parse_edits(text: &[u8]) -> Result<Vec<Edit>, GrammarError> {
    let text = std::str::from_utf8(text).map_err(|_| GrammarError::NotText)?;
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.trim()));
    let filled = lines.filter(|(_, line)| !line.is_empty());
    filled
        .map(|(number, line)| parse_edit(number, line))
        .collect()
}

fn parse_edit(line: usize, text: &str) -> Result<Edit, GrammarError> {
    let (edit, rule): (fn(Rule) -> Edit, _) = match text.strip_prefix('!') {
        Some(rest) if rest.trim().is_empty() => return Err(GrammarError::RemoveNothing { line }),
        Some(rest) => (Edit::Remove, rest),
        None => (Edit::Add, text),
    };
    parse_rule(rule.trim(), line).map(edit)
}

/// Cuts and escapes user input so that a message stays one short line.
fn readable(word: &str) -> String {
    const LONGEST: usize = 40;
    let cut: String = word.chars().take(LONGEST).collect();
    let dots = if cut.len() < word.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_mode_prints_as_the_text_that_parses_to_it() {
        for mode in Mode::ALL {
            let rule = mode.rule();
            assert_eq!(rule.to_string(), mode.name());
            assert_eq!(parse_rule(&rule.to_string(), 1), Ok(rule));
        }
    }

    #[test]
    fn a_mode_may_begin_later() {
        let rule = parse_rule("eio_read  after=1.5s", 1).unwrap();
        assert_eq!(rule.after, std::time::Duration::from_millis(1500));
        assert_eq!(rule.to_string(), "eio_read after=1500ms");
        assert_eq!(parse_rule(&rule.to_string(), 1), Ok(rule));
        for bad in ["slow after=", "slow after=5", "slow now", "slow after=-1s"] {
            let error = parse_rule(bad, 3).unwrap_err().to_string();
            assert!(error.starts_with("line 3: bad selector"), "{error}");
        }
    }

    #[test]
    fn a_text_is_one_edit_a_line_and_blank_lines_are_nothing() {
        let edits = parse_edits(b"slow\n\n  !eio_read \n").unwrap();
        assert_eq!(
            edits,
            [
                Edit::Add(Mode::Slow.rule()),
                Edit::Remove(Mode::EioRead.rule())
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named_with_what_is_valid() {
        let error = parse_edits(b"slow\nbogus\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: unknown mode `bogus` (valid: eio_read, eio_write, slow)"
        );
    }

    #[test]
    fn an_exclamation_mark_alone_is_an_error() {
        let error = parse_edits(b"!").unwrap_err();
        assert_eq!(error, GrammarError::RemoveNothing { line: 1 });
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_rejected_in_one_line(bytes: Vec<u8>) {
            if let Err(error) = parse_edits(&bytes) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
