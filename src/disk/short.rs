//! Rules as they are shown beside each of many requests: short.

use std::fmt::{self, Write};
use std::sync::Arc;

use crate::fault::Armed;

/// Most bytes of a rule that are shown; what is longer ends with `...`.
const LONGEST: usize = 200;

/// The texts of `rules`, as one line has them; `-` without any.
pub(super) fn texts(rules: &[Arc<Armed>]) -> String {
    let mut text = Limited(String::new(), LONGEST);
    for (at, armed) in rules.iter().enumerate() {
        let between = if at > 0 { "; " } else { "" };
        // Ends early with an error where there is more than is shown.
        if write!(text, "{between}{}", armed.rule).is_err() {
            return text.0 + "...";
        }
    }
    match rules.is_empty() {
        true => "-".into(),
        false => text.0,
    }
}

/// Takes so many bytes and no more: what is longer is not even made.
struct Limited(String, usize);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.1 - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let fits = (0..=room).rev().find(|end| text.is_char_boundary(*end));
        self.0.push_str(&text[..fits.unwrap_or(0)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Edit, FaultSet, parse_rule};

    fn texts_of(rules: &[&str]) -> String {
        let edits: Vec<_> = rules
            .iter()
            .map(|rule| Edit::Add(parse_rule(rule, 1).unwrap()))
            .collect();
        let set = FaultSet::default().edited(&edits, Default::default());
        texts(set.unwrap().armed())
    }

    #[test]
    fn rules_stand_side_by_side_and_none_is_a_dash() {
        assert_eq!(texts_of(&[]), "-");
        let two = ["slow", "error op=read errno=ENOSPC at=8+1"];
        assert_eq!(texts_of(&two), two.join("; "));
    }

    #[test]
    fn a_long_rule_is_cut_and_a_rule_of_just_that_length_is_not() {
        let of_length = |len: usize| {
            let mut rule = "error op=read errno=EIO at=".to_owned();
            while rule.len() + 10 < len {
                rule.push_str("77+1,");
            }
            format!("{rule}{}+1", "7".repeat(len - rule.len() - 2))
        };
        assert_eq!(texts_of(&[&of_length(200)]), of_length(200));
        let cut = format!("{}...", &of_length(300)[..200]);
        assert_eq!(texts_of(&[&of_length(300)]), cut);
    }
}
