//! Bytes and texts from elsewhere, made fit to be read: as text, of a bounded length, and without sequences that
//! control a terminal.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

/// Bytes of an error or a log line that are shown. Of a longer one its beginning and its end are.
pub const LONGEST: usize = 64 << 10;
/// Bytes of a value that an assertion found which are shown.
pub const LONGEST_VALUE: usize = LONGEST / 4;

/// `bytes` as text. Bytes that are not UTF-8 are written as `\xff`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        let invalid = chunk.invalid().iter();
        text.extend(invalid.map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// An error or a log line as text. Zeros and bytes that are not UTF-8 are escaped. The middle of one that is longer
/// than [`LONGEST`] is replaced by a line that says so.
pub fn message(bytes: &[u8]) -> String {
    escaped(&shortened(bytes, LONGEST)).replace('\0', "\\0")
}

/// `bytes`, or `most` of them and a line in the place of the middle. The last quarter is of the end, where a
/// traceback stands.
pub fn shortened(bytes: &[u8], most: usize) -> Cow<'_, [u8]> {
    if bytes.len() <= most {
        return bytes.into();
    }
    let first = boundary(bytes, most - most / 4);
    let last = boundary(bytes, bytes.len() - most / 4);
    let between = format!("\n... ({} bytes left out) ...\n", last - first);
    [&bytes[..first], between.as_bytes(), &bytes[last..]]
        .concat()
        .into()
}

/// The `first` and the `last` characters of `line`, if it is longer than both together, with a remark between them.
pub fn without_middle(line: &str, first: usize, last: usize) -> String {
    let count = line.chars().count();
    let between = count.saturating_sub(first + last);
    if between == 0 {
        return line.to_owned();
    }
    let begin: String = line.chars().take(first).collect();
    let end: String = line.chars().skip(count - last).collect();
    format!("{begin} ... ({between} characters left out) ... {end}")
}

/// The first byte of the character that has the byte `at`.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let begins = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    (at.saturating_sub(3)..=at).rev().find(begins).unwrap_or(at)
}

/// The name of a file as text.
pub fn path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// A text from elsewhere, such as a path, in one line that does not control a terminal.
pub fn shown(text: impl AsRef<OsStr>) -> String {
    printable(&escaped(text.as_ref().as_encoded_bytes()))
}

/// `text` in one line that does not control a terminal: control characters are escaped, and those that turn the
/// direction of the text after them.
pub fn printable(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || turns(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

/// A word that somebody has typed, for a message of one short line: escaped, and cut after 40 characters.
pub fn readable(word: &str) -> String {
    const LONGEST: usize = 40;
    let cut: String = word.chars().take(LONGEST).collect();
    let dots = if cut.len() < word.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

/// `text` with its lines and tabs, and without carriage returns, which consoles print at each line. Other characters
/// that control a terminal are escaped.
pub fn harmless(text: &str) -> String {
    let text = text.replace('\r', "");
    let line = |line: &str| {
        let pieces: Vec<_> = line.split('\t').map(printable).collect();
        pieces.join("\t")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// One line of a terminal's output as text: without the escape sequences that control it, such as colours, and without
/// what stands before a carriage return in the middle of it, which it writes over.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.trim_end().chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            '\r' => text.clear(),
            '\u{8}' => {
                let _ = text.pop();
            }
            c => text.push(c),
        }
    }
    printable(text.trim_end()).replace("\\t", "  ")
}

/// Passes over the rest of an escape sequence, after its ESC.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        // Parameters, up to a letter.
        Some('[') => {
            let _ = rest.find(|c| ('@'..='~').contains(c));
        }
        // A text, up to BEL or ESC \.
        Some(']' | 'P' | '^' | '_') => {
            let end = rest.find(|c| matches!(c, '\u{7}' | '\u{1b}'));
            let backslash = end.filter(|end| *end == '\u{1b}');
            let _ = backslash.and_then(|_| rest.next());
        }
        Some('(' | ')' | '#') => {
            let _ = rest.next();
        }
        _ => {}
    }
}

/// A path in JSON, for `#[serde(serialize_with)]`: one that is not UTF-8 is escaped.
pub fn serialize_path<S: Serializer>(name: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path(name))
}

/// Reads what [`serialize_path`] wrote. A path that was escaped stays so.
pub fn deserialize_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    String::deserialize(deserializer).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn escaped_changes_only_bytes_that_are_not_text() {
        assert_eq!(escaped("täxt\\x".as_bytes()), "täxt\\x");
        assert_eq!(escaped(b"a\xff\xfeb\xc3"), r"a\xff\xfeb\xc3");
        assert_eq!(message(b"a\0\xff"), r"a\0\xff");
    }

    #[test]
    fn message_that_is_long_loses_its_middle_and_says_so() {
        assert_eq!(message(&vec![b'x'; LONGEST]), "x".repeat(LONGEST));
        let mut long = vec![b'x'; 16 << 20];
        long[0] = b'<';
        *long.last_mut().unwrap() = b'>';
        let text = message(&long);
        let said = format!("\n... ({} bytes left out) ...\n", (16 << 20) - LONGEST);
        assert!(text.starts_with('<') && text.ends_with('>') && text.contains(&said));
        assert_eq!(text.len(), LONGEST + said.len());
    }

    #[test]
    fn message_is_not_cut_within_a_character() {
        for shift in 0..4 {
            let long = "-".repeat(shift) + &"\u{1f980}".repeat(LONGEST);
            assert!(!message(long.as_bytes()).contains("\\x"), "{shift}");
        }
    }

    #[test]
    fn shown_is_one_line_that_does_not_control_the_terminal() {
        let name = OsStr::from_bytes(b"a\x1b[2Jb\n\xc2\x9b\xe2\x80\xae\x7f\xff");
        assert_eq!(shown(name), r"a\u{1b}[2Jb\n\u{9b}\u{202e}\u{7f}\xff");
    }

    #[test]
    fn readable_is_short_and_does_not_control_the_terminal() {
        assert_eq!(readable("a\x1b[2J\n"), r"a\u{1b}[2J\n");
        assert_eq!(readable(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(readable(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }

    #[test]
    fn plain_line_has_neither_colours_nor_what_was_written_over() {
        let line = plain(
            "10%\r20%\r\u{1b}[1;31mred\u{1b}[0m\u{1b}]0;title\u{7} \u{1b}[6n\tab\u{8}c\u{1b}(B \r\n",
        );
        assert_eq!(line, "red   ac");
        assert_eq!(plain("bell\u{7}"), r"bell\u{7}");
    }

    #[test]
    fn harmless_does_not_control_the_terminal() {
        let text = harmless("no:\t\x1b]0;title\x07\rpassed\r\nsecond\u{9b}2J\n");
        assert_eq!(text, "no:\t\\u{1b}]0;title\\u{7}passed\nsecond\\u{9b}2J");
    }
}
