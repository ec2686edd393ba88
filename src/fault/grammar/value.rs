//! The values of `key=value` words: numbers, times, sizes, errnos, tags.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::GrammarError;
use super::line::{Line, Pair};
use crate::fault::{LONGEST, Mode, SizeRange, Then};
use crate::protocol::{BadErrno, Errno};
use crate::units::duration::parse_duration;
use crate::units::size::parse_size;
use crate::units::text::readable;

/// A file has at most 2^63 - 1 bytes, and so a disk fewer sectors than this.
pub(super) const SECTORS_END: u64 = 1 << 54;

impl Line<'_> {
    pub(super) fn errno(&self, pair: Pair<'_>) -> Result<Errno, GrammarError> {
        Errno::parse(pair.value).map_err(|why| {
            let or_ok = match why {
                BadErrno::Unknown(_) if pair.key == "then" => "; or ok",
                _ => "",
            };
            let what = format!("`{}={}` {why}{or_ok}", pair.key, readable(pair.value));
            self.error(pair.key, what)
        })
    }

    /// `ok`, or an errno.
    pub(super) fn then(&self, pair: Pair<'_>) -> Result<Then, GrammarError> {
        match pair.value {
            "ok" => Ok(Then::Ok),
            _ => self.errno(pair).map(Then::Error),
        }
    }

    pub(super) fn duration(&self, pair: Pair<'_>) -> Result<Duration, GrammarError> {
        self.duration_in(pair, pair.value)
    }

    /// The time that is written as `text`, a part of the value of `pair`.
    pub(super) fn duration_in(&self, pair: Pair<'_>, text: &str) -> Result<Duration, GrammarError> {
        let expected = "a time with its unit, as in 200us, 50ms, 1.5s, 2m or 1h, up to a year";
        let duration = parse_duration(text).filter(|duration| *duration <= LONGEST);
        duration.ok_or_else(|| self.bad(pair, expected))
    }

    /// A whole number up to `most`.
    pub(super) fn count(
        &self,
        pair: Pair<'_>,
        most: u64,
        expected: &str,
    ) -> Result<u64, GrammarError> {
        let number = pair.value.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| self.bad(pair, expected))
    }

    /// A whole number in `range`, decimal or, after `0x`, hexadecimal.
    pub(super) fn small(
        &self,
        pair: Pair<'_>,
        range: RangeInclusive<u64>,
        expected: &str,
    ) -> Result<u64, GrammarError> {
        let number = match pair.value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => pair.value.parse().ok(),
        };
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| self.bad(pair, expected))
    }

    pub(super) fn tag(&self, pair: Pair<'_>) -> Result<String, GrammarError> {
        if is_tag(pair.value) && Mode::named(pair.value).is_none() && pair.value != "all" {
            return Ok(pair.value.to_owned());
        }
        let expected = "a name of at most 64 letters, digits, `.`, `_` and `-`, but not a mode's and not `all`";
        Err(self.bad(pair, expected))
    }

    /// `MIN..MAX`, of which either may be missing.
    pub(super) fn size(&self, pair: Pair<'_>) -> Result<SizeRange, GrammarError> {
        let expected = "bytes as MIN..MAX, of which either may be left out, as in size=4K..";
        size_range(pair.value).ok_or_else(|| self.bad(pair, expected))
    }
}

/// Whether `word` can be a tag.
pub(super) fn is_tag(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !word.is_empty() && word.len() <= 64 && word.chars().all(is_part)
}

fn size_range(text: &str) -> Option<SizeRange> {
    let (min, max) = text.split_once("..")?;
    let end = |text: &str, open| match text {
        "" => Some(open),
        _ => parse_size(text),
    };
    let (min, max) = (end(min, 0)?, end(max, u64::MAX)?);
    (min <= max).then_some(SizeRange { min, max })
}
