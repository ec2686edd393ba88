//! Bytes and texts of others as people read them: as text, of a bounded length, and without a way to
//! do something to a terminal.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

/// Bytes of an error or a log line that are shown; of a longer one the beginning and the end.
pub const LONGEST: usize = 64 << 10;
/// Bytes of a value that an assertion found which are shown.
pub const LONGEST_VALUE: usize = LONGEST / 4;

/// `bytes` as text: what is not UTF-8 as `\xff`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        let invalid = chunk.invalid().iter();
        text.extend(invalid.map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// What an error or a log line says, as text: what is not UTF-8 and zeros are escaped, and of one
/// that is longer than [`LONGEST`] the middle is left out, which is said.
pub fn message(bytes: &[u8]) -> String {
    escaped(&shortened(bytes, LONGEST)).replace('\0', "\\0")
}

/// `bytes`, or `most` of them and a line in the place of the middle. A quarter is of the end, where a
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

/// The beginning of the character that `at` lies in.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let begins = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    (at.saturating_sub(3)..=at).rev().find(begins).unwrap_or(at)
}

/// The name of a file as text.
pub fn path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// A text of others, as a path is, in one line that does nothing to a terminal.
pub fn shown(text: impl AsRef<OsStr>) -> String {
    printable(&escaped(text.as_ref().as_encoded_bytes()))
}

/// `text` in one line that does nothing to a terminal: control characters are escaped, and those that
/// turn the direction of what follows.
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

/// `text` with its lines and tabs, without carriage returns, which consoles are full of, and whatever
/// else would do something to a terminal escaped.
pub fn harmless(text: &str) -> String {
    let text = text.replace('\r', "");
    let line = |line: &str| {
        let pieces: Vec<_> = line.split('\t').map(printable).collect();
        pieces.join("\t")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A path in JSON, for `#[serde(serialize_with)]`: one that is not UTF-8 is escaped.
pub fn serialize_path<S: Serializer>(name: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path(name))
}

/// The other way round, as far as nothing was escaped.
pub fn deserialize_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    String::deserialize(deserializer).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_is_not_text_is_shown_escaped_and_what_is_stays() {
        assert_eq!(escaped("täxt\\x".as_bytes()), "täxt\\x");
        assert_eq!(escaped(b"a\xff\xfeb\xc3"), r"a\xff\xfeb\xc3");
        assert_eq!(message(b"a\0\xff"), r"a\0\xff");
    }

    #[test]
    fn of_a_long_message_the_middle_is_left_out_which_is_said() {
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
    fn a_long_message_is_not_cut_within_a_character() {
        for shift in 0..4 {
            let long = "-".repeat(shift) + &"\u{1f980}".repeat(LONGEST);
            assert!(!message(long.as_bytes()).contains("\\x"), "{shift}");
        }
    }

    #[test]
    fn a_name_of_others_is_one_line_that_does_nothing_to_the_terminal() {
        let name = OsStr::from_bytes(b"a\x1b[2Jb\n\xc2\x9b\xe2\x80\xae\x7f\xff");
        assert_eq!(shown(name), r"a\u{1b}[2Jb\n\u{9b}\u{202e}\u{7f}\xff");
    }

    #[test]
    fn what_a_guest_says_does_nothing_to_the_terminal() {
        let text = harmless("no:\t\x1b]0;title\x07\rpassed\r\nsecond\u{9b}2J\n");
        assert_eq!(text, "no:\t\\u{1b}]0;title\\u{7}passed\nsecond\\u{9b}2J");
    }
}
