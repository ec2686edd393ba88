//! What the lines of several control files have in common.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::units::duration::parse_duration;

/// Stands in the place of rules where there are none.
pub const NO_RULES: &str = "-";

/// `word` as a shell takes it for one. A NUL byte, which no shell takes, stays as it is.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// The time that the word SECONDS of a line says, by the clock of dmesg.
pub(super) fn parse_seconds(word: &str) -> Option<Duration> {
    parse_duration(&format!("{word}s"))
}

/// Adds a number to a text, with zeros before it up to `width` digits. Streams print many.
pub(super) fn push_number(text: &mut String, mut number: u64, width: usize) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    while first > 0 && (number > 0 || digits.len() - first < width) {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text.extend(digits[first..].iter().copied().map(char::from));
}

fn micros(time: Duration) -> u64 {
    // Without the 128 bits of `as_micros`.
    let nanos = u64::from(time.subsec_nanos());
    time.as_secs() * 1_000_000 + (nanos + 500) / 1000
}

/// Adds a time as the word SECONDS of a line says it: to the nearest microsecond.
pub(super) fn push_seconds(text: &mut String, time: Duration) {
    let micros = micros(time);
    push_number(text, micros / 1_000_000, 1);
    text.push('.');
    push_number(text, micros % 1_000_000, 6);
}

/// Adds a time in milliseconds, to the nearest microsecond.
pub(super) fn push_milliseconds(text: &mut String, time: Duration) {
    let micros = micros(time);
    push_number(text, micros / 1000, 1);
    text.push('.');
    push_number(text, micros % 1000, 3);
    text.push_str("ms");
}

/// A time as the word SECONDS of a line says it.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        push_seconds(&mut text, self.0);
        f.write_str(&text)
    }
}

/// A text that is not what it was read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadLine {
    expected: &'static str,
    text: String,
}

impl BadLine {
    /// `text` was read as `expected`, such as "a line of `disks`".
    pub fn new(expected: &'static str, text: &str) -> Self {
        Self {
            expected,
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_has_its_digits_and_zeros_up_to_a_width() {
        for (number, width, shown) in [
            (0, 1, "0"),
            (7, 3, "007"),
            (1234, 3, "1234"),
            (u64::MAX, 1, "18446744073709551615"),
        ] {
            let mut text = String::new();
            push_number(&mut text, number, width);
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn time_is_shown_to_the_nearest_microsecond() {
        let both = |time| {
            let mut text = format!("{} ", Seconds(time));
            push_milliseconds(&mut text, time);
            text
        };
        assert_eq!(both(Duration::new(12, 345_499)), "12.000345 12000.345ms");
        assert_eq!(both(Duration::new(1, 999_999_500)), "2.000000 2000.000ms");
        assert_eq!(both(Duration::from_nanos(499)), "0.000000 0.000ms");
    }
}
