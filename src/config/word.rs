//! A value of a key that is one of several words.

use crate::units::nearest;

/// The one of `all` that the key `key` has, by its name; None where the key is not given.
pub(super) fn word<T: Copy>(
    key: &str,
    given: Option<String>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, String> {
    given.map(|text| one_of(key, &text, all, name)).transpose()
}

/// The one of `all` that is called `text`. Words may be written together, or with a hyphen.
pub(super) fn one_of<T: Copy>(
    key: &str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let plain = |text: &str| text.replace([' ', '-', '_'], "").to_lowercase();
    if let Some(found) = all.iter().find(|one| plain(name(**one)) == plain(text)) {
        return Ok(*found);
    }
    let names: Vec<_> = all
        .iter()
        .map(|one| format!("\"{}\"", name(*one)))
        .collect();
    let near = nearest(text, all.iter().map(|one| name(*one)));
    Err(format!(
        "`{key}` expects one of {}, not {text:?}{near}",
        names.join(", ")
    ))
}
