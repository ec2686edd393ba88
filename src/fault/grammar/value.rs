//! The values of `key=value` words: numbers, times, sectors, sizes, errnos, tags.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::GrammarError;
use super::line::{Line, Pair};
use crate::fault::{Mode, Sectors, SizeRange, Then};
use crate::protocol::names::SECTOR;
use crate::protocol::{BadErrno, Errno};
use crate::units::duration::parse_duration;
use crate::units::size::parse_size;
use crate::units::text::readable;

/// A file has at most 2^63 - 1 bytes, and so a disk fewer sectors than this.
pub(super) const SECTORS_END: u64 = 1 << 54;
/// The longest time in a rule: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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

    /// `START+COUNT,START+COUNT`: not empty, and below [`SECTORS_END`].
    pub(super) fn sectors(&self, pair: Pair<'_>) -> Result<Vec<Sectors>, GrammarError> {
        let expected =
            "sectors below 2^54 as START+COUNT, with commas between ranges, as in at=2048+8";
        parse_sectors(pair.value)
            .ok_or_else(|| self.bad(pair, &format!("{expected}{}", sectors_meant(pair.value))))
    }

    /// `MIN..MAX`, of which either may be missing.
    pub(super) fn size(&self, pair: Pair<'_>) -> Result<SizeRange, GrammarError> {
        let expected = "bytes as MIN..MAX, of which either may be left out, as in size=4K..";
        size_range(pair.value).ok_or_else(|| self.bad(pair, expected))
    }
}

/// Parses the value of `at=`: sectors as START+COUNT, with commas between ranges.
pub fn parse_sectors(text: &str) -> Option<Vec<Sectors>> {
    text.split(',').map(sectors).collect()
}

/// `; did you mean ...?`, if `text` has bytes, first and last sectors, or no counts in place of START+COUNT.
pub fn sectors_meant(text: &str) -> String {
    let ranges: Option<Vec<_>> = text.split(',').map(range_meant).collect();
    ranges.map_or_else(String::new, |ranges| {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|Sectors { start, count }| format!("{start}+{count}"))
            .collect();
        format!(
            "; did you mean {}? A sector has 512 bytes",
            ranges.join(",")
        )
    })
}

fn range_meant(text: &str) -> Option<Sectors> {
    let number = |text: &str| text.parse::<u64>().ok();
    if let Some(start) = number(text) {
        return Some(Sectors { start, count: 1 });
    }
    if let Some((first, last)) = text.split_once("..").or_else(|| text.split_once('-')) {
        let (start, last) = (number(first)?, number(last.trim_start_matches('='))?);
        let count = last.checked_sub(start)?.checked_add(1)?;
        return Some(Sectors { start, count });
    }
    let (start, len) = text.split_once('+')?;
    let sectors = |text: &str| match number(text) {
        Some(sectors) => Some(sectors),
        None => parse_size(text)
            .filter(|size| size % SECTOR == 0)
            .map(|size| size / SECTOR),
    };
    let (start, count) = (sectors(start)?, sectors(len)?);
    (count > 0 && start.checked_add(count)? <= SECTORS_END).then_some(Sectors { start, count })
}

/// Whether `word` can be a tag.
pub(super) fn is_tag(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !word.is_empty() && word.len() <= 64 && word.chars().all(is_part)
}

fn sectors(text: &str) -> Option<Sectors> {
    let (start, count) = text.split_once('+')?;
    let (start, count) = (start.parse().ok()?, count.parse().ok()?);
    let end = u64::checked_add(start, count)?;
    (count > 0 && end <= SECTORS_END).then_some(Sectors { start, count })
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
