//! Rules as they are shown beside requests: short.

use std::borrow::Cow;
use std::sync::Arc;

use super::Armed;
use crate::protocol::NO_RULES;

/// Bytes that are shown at most. A longer text ends with `...`.
const LONGEST: usize = 200;

/// The part of `text` that is shown.
fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let ends = (0..=LONGEST).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end));
    format!("{}...", &text[..end.unwrap_or(0)]).into()
}

impl Armed {
    /// The texts of `rules`, as one line shows them; `-` if there is none.
    pub fn texts(rules: &[Arc<Self>]) -> Cow<'_, str> {
        match rules {
            [] => return NO_RULES.into(),
            [only] => return only.short_text(),
            _ => {}
        }
        let mut text = String::new();
        for armed in rules {
            if text.len() > LONGEST {
                break;
            }
            let between = if text.is_empty() { "" } else { "; " };
            text.push_str(between);
            text.push_str(&armed.short_text());
        }
        short(&text).into_owned().into()
    }

    /// Its text, as one line shows it.
    pub fn short_text(&self) -> Cow<'_, str> {
        short(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Arming, Edit, FaultSet, parse_rule};

    fn texts_of(rules: &[&str]) -> String {
        let edit = |rule: &&str| Edit::Add(parse_rule(rule, 1).unwrap());
        let edits: Vec<_> = rules.iter().map(edit).collect();
        let set = FaultSet::default().edited(&edits, Arming::default());
        Armed::texts(set.unwrap().armed()).into_owned()
    }

    fn of_length(len: usize) -> String {
        let mut rule = "error op=read errno=EIO at=".to_owned();
        while rule.len() + 10 < len {
            rule.push_str("77+1,");
        }
        format!("{rule}{}+1", "7".repeat(len - rule.len() - 2))
    }

    #[test]
    fn texts_stand_side_by_side_and_none_is_a_dash() {
        assert_eq!(texts_of(&[]), "-");
        let two = ["slow", "error op=read errno=ENOSPC at=8+1"];
        assert_eq!(texts_of(&two), two.join("; "));
    }

    #[test]
    fn texts_are_cut_only_past_the_limit() {
        let (just, long) = (of_length(LONGEST), of_length(LONGEST + 1));
        assert_eq!(texts_of(&[&just]), just);
        let cut = format!("{}...", &long[..LONGEST]);
        assert_eq!(texts_of(&[&long]), cut);
        assert_eq!(texts_of(&[&long, "slow"]), cut);
        let many: Vec<_> = (0..500).map(|n| format!("slow at={n}+1")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(texts_of(&many).len(), LONGEST + 3);
    }
}
