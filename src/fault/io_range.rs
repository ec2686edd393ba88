//! A request as a rule sees it: an operation and a range of bytes.

use super::Op;
use crate::protocol::names::SECTOR;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoRange {
    /// Its operation.
    pub op: Op,
    /// Where its range starts, in bytes.
    pub offset: u64,
    /// How long its range is, in bytes; 0 for a flush.
    pub len: u64,
}

impl IoRange {
    /// The first byte after the range.
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// The first sector of its range, and how many it touches.
    pub fn sectors(self) -> (u64, u64) {
        let first = self.offset / SECTOR;
        (first, self.end().div_ceil(SECTOR) - first)
    }
}
