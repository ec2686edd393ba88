//! The words of `provium fault`: rules, each quoted as one word or spread over several.

use crate::cli::exit::UsageError;
use crate::units::text::readable;

/// The rules that `words` are. A rule may be one word, as a shell's quotes make it, or several: words that are
/// `key=value` belong to the rule before them.
pub(super) fn rules(words: &[String]) -> Result<Vec<String>, UsageError> {
    let mut rules: Vec<String> = Vec::new();
    for word in words {
        if word.trim().is_empty() {
            let text = "an empty word is not a rule; `--clear` removes all rules";
            return Err(UsageError(text.into()));
        }
        match rules.last_mut() {
            Some(rule) if is_pair(word) => *rule = format!("{rule} {word}"),
            None if is_pair(word) => return Err(begins_with_a_pair(word)),
            _ => rules.push(word.clone()),
        }
    }
    Ok(rules)
}

/// A usage error if one of `rules`, which are to be armed, is an option without its dashes.
pub(super) fn must_not_be_options(rules: &[String]) -> Result<(), UsageError> {
    let options = [
        "add", "set", "file", "remove", "clear", "release", "errno", "rules", "explain", "json",
    ];
    let is_option = |rule: &&String| options.contains(&rule.as_str());
    rules.iter().find(is_option).map_or(Ok(()), |word| {
        let text = format!("`{word}` is not a rule; did you mean `--{word}`?");
        Err(UsageError(text))
    })
}

/// Whether `word` begins as `key=value`, as no rule does.
fn is_pair(word: &str) -> bool {
    let first = word.split_whitespace().next().unwrap_or_default();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    first
        .split_once('=')
        .is_some_and(|(key, _)| !key.is_empty() && key.chars().all(is_letter))
}

fn begins_with_a_pair(word: &str) -> UsageError {
    let word = readable(word);
    UsageError(format!(
        "`{word}` says which requests, but not what happens to them: begin with an action or a mode, as in \
         `error {word}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        rules(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_belong_to_the_rule_before_them_and_quoted_rules_stay_apart() {
        for (words, expected) in [
            (
                &["error", "op=read", "at=8+1"][..],
                &["error op=read at=8+1"][..],
            ),
            (&["slow", "eio_read"], &["slow", "eio_read"]),
            (
                &["error op=read", "lose op=write"],
                &["error op=read", "lose op=write"],
            ),
            (&["error op=read", "at=8+1"], &["error op=read at=8+1"]),
            (&["error", "op=read at=8+1"], &["error op=read at=8+1"]),
            (&["slow", "error", "op=read"], &["slow", "error op=read"]),
            (
                &["!error", "op=read", "!stuck"],
                &["!error op=read", "!stuck"],
            ),
            (&["slow\neio_read"], &["slow\neio_read"]),
        ] {
            assert_eq!(joined(words).unwrap(), expected);
        }
    }

    #[test]
    fn words_that_are_no_rule_are_explained() {
        let said = joined(&["op=read", "error"]).unwrap_err();
        assert!(said.contains("as in `error op=read`"), "{said}");
        assert!(joined(&["slow", " "]).unwrap_err().contains("--clear"));
        assert!(joined(&[""]).is_err());
        let said = must_not_be_options(&["clear".into()]).unwrap_err();
        assert!(said.to_string().contains("did you mean `--clear`?"));
        assert!(must_not_be_options(&["slow".into()]).is_ok());
        assert_eq!(joined(&["=x"]).unwrap(), ["=x"], "the server explains it");
    }
}
