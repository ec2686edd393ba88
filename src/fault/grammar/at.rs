//! The value of `at=`: ranges of sectors, in sectors or in bytes, from the start of the disk or from its end.

use super::error::GrammarError;
use super::line::{Line, Pair};
use super::value::SECTORS_END;
use crate::fault::{At, Sectors, Start};
use crate::protocol::names::SECTOR;
use crate::units::size::parse_size;

impl Line<'_> {
    /// `START+COUNT,START+COUNT`: not empty, and below [`SECTORS_END`].
    pub(super) fn at(&self, pair: Pair<'_>) -> Result<Vec<At>, GrammarError> {
        let expected = "sectors below 2^54 as START+COUNT, with commas between ranges, as in at=2048+8, at=1M+64K or at=end-8+8";
        parse_at(pair.value)
            .ok_or_else(|| self.bad(pair, &format!("{expected}{}", sectors_meant(pair.value))))
    }
}

/// Parses the value of `at=`.
fn parse_at(text: &str) -> Option<Vec<At>> {
    text.split(',').map(range).collect()
}

/// Parses ranges as [`parse_at`] does, if none is counted from the end of a disk.
pub fn parse_sectors(text: &str) -> Option<Vec<Sectors>> {
    parse_at(text)?.into_iter().map(At::fixed).collect()
}

/// `; did you mean ...?`, if `text` has first and last sectors or no counts in place of START+COUNT, or says which size
/// is not one of whole sectors.
pub fn sectors_meant(text: &str) -> String {
    if let Some(size) = partial_size(text) {
        return format!("; {size} is not a multiple of 512 bytes");
    }
    let ranges: Option<Vec<_>> = text.split(',').map(range_meant).collect();
    ranges.map_or_else(String::new, |ranges| {
        let ranges: Vec<_> = ranges.iter().map(At::to_string).collect();
        let ranges = ranges.join(",");
        format!("; did you mean {ranges}? A sector has 512 bytes")
    })
}

/// The first size in `text` that has parts of sectors.
fn partial_size(text: &str) -> Option<&str> {
    let mut sizes = text.split([',', '+', '-']);
    sizes.find(|text| size_in_bytes(text).is_some_and(|size| !size.is_multiple_of(SECTOR)))
}

fn range_meant(text: &str) -> Option<At> {
    let range = |start, count| Sectors { start, count }.into();
    if let Some(start) = sectors(text) {
        return Some(range(start, 1));
    }
    if let Some((first, last)) = text.split_once("..").or_else(|| text.split_once('-'))
        && let (Ok(start), Ok(last)) = (first.parse(), last.trim_start_matches('=').parse())
    {
        let count = u64::checked_sub(last, start)?.checked_add(1)?;
        return Some(range(start, count));
    }
    self::range(text)
}

fn range(text: &str) -> Option<At> {
    range_in(text).filter(|at| match at.start {
        Start::Sector(start) => start.saturating_add(at.count) <= SECTORS_END,
        Start::BeforeEnd(before) => before <= SECTORS_END && at.count <= SECTORS_END,
    })
}

fn range_in(text: &str) -> Option<At> {
    let (first, count) = text.split_once('+')?;
    let start = match first.strip_prefix("end") {
        Some("") => Start::BeforeEnd(0),
        Some(before) => Start::BeforeEnd(sectors(before.strip_prefix('-')?)?),
        None => Start::Sector(sectors(first)?),
    };
    let count = sectors(count).filter(|count| *count > 0)?;
    Some(At { start, count })
}

/// A number of sectors, or a size with its unit that is one of whole sectors.
fn sectors(text: &str) -> Option<u64> {
    let size = || size_in_bytes(text).filter(|size| size.is_multiple_of(SECTOR));
    text.parse()
        .ok()
        .filter(|_| !text.starts_with('+'))
        .or_else(|| size().map(|size| size / SECTOR))
}

fn size_in_bytes(text: &str) -> Option<u64> {
    parse_size(text).filter(|_| text.ends_with(|c: char| c.is_ascii_alphabetic()))
}
