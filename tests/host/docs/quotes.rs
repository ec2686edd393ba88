//! Quotes of the pages and the help, beside the tests that prove them. A change of a number, a default, a limit or
//! an error text then leads to both.

use std::path::Path;

use crate::harness::*;

/// Asserts that a page has this part of a sentence, as in `page_says("docs/faults.md", "(60 s)")`. Line breaks do
/// not matter.
pub fn page_says(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    assert_said(page, &std::fs::read_to_string(path).unwrap(), text);
}

/// The same for the output of `provium WORDS --help`.
pub fn help_says(words: &str, text: &str) {
    let words: Vec<_> = words.split_whitespace().chain(["--help"]).collect();
    assert_said(&words.join(" "), &stdout(&provium(&words)), text);
}

fn assert_said(place: &str, said: &str, text: &str) {
    let flowing = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flowing(said).contains(&flowing(text)),
        "{place} does not say any more: {text}"
    );
}

#[test]
fn quote_is_found_across_the_ends_of_lines() {
    assert_said("page", "one\n  two three", "two three");
    assert_said("page", "one two\nthree", "two three");
}

#[test]
#[should_panic(expected = "page does not say any more: 3 s")]
fn quote_that_a_page_does_not_have_is_an_error() {
    assert_said("page", "after 4 s", "3 s");
}
