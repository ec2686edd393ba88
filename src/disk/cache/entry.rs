//! A pending request: one that was answered and is not durable.

use std::io;
use std::ops::Range;
use std::time::Instant;

use crate::disk::path::reservation::Reservation;
use crate::fault::{IoRange, Op};
use crate::protocol::PendingLine;
use crate::protocol::names::SECTOR;
use crate::storage::Image;

/// What a pending request takes beside its data, about: in bytes.
const OVERHEAD: u64 = 256;

/// A request that was answered and is not durable.
#[derive(Debug)]
pub(in crate::disk) struct Entry {
    /// Its number on the disk, from 1.
    pub(super) number: u64,
    /// When it was answered, in the order of the disk.
    pub(super) sequence: u64,
    pub(super) answered: Instant,
    pub(in crate::disk) change: StoredChange,
    /// The memory that it takes, once, however many checkpoints have it.
    pub(super) _room: Reservation,
}

/// A change of an image that owns its data.
#[derive(Debug)]
pub(in crate::disk) struct StoredChange {
    pub(in crate::disk) range: IoRange,
    pub(in crate::disk) content: Content,
}

/// What a range of bytes becomes.
#[derive(Debug)]
pub(in crate::disk) enum Content {
    /// These bytes.
    Data(Vec<u8>),
    /// Zeros; the image may grow for them.
    Zeroes { keep_size: bool },
    /// Zeros that take no room.
    Discarded,
    /// Zeros behind the present end of the image.
    Grown,
}

impl StoredChange {
    pub(in crate::disk) fn span(&self) -> Range<u64> {
        self.range.offset..self.range.end()
    }

    /// The memory that it takes, in bytes.
    pub(in crate::disk) fn cost(&self) -> u64 {
        Self::cost_of(self.data().map_or(0, |data| data.len() as u64))
    }

    /// The memory that one with so many bytes of data takes.
    pub(in crate::disk) fn cost_of(data_len: u64) -> u64 {
        OVERHEAD + data_len
    }

    /// Its data; None for zeros.
    pub(in crate::disk) fn data(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Data(data) => Some(data),
            Content::Zeroes { .. } | Content::Discarded | Content::Grown => None,
        }
    }

    /// Whether the image ends behind it at least, once it is done.
    pub(super) fn grows(&self) -> bool {
        match self.content {
            Content::Data(_) | Content::Grown | Content::Zeroes { keep_size: false } => true,
            Content::Zeroes { keep_size: true } | Content::Discarded => false,
        }
    }

    /// Whether all of its bytes read as it says. Growth leaves alone what others have written behind the end.
    pub(super) fn covers(&self) -> bool {
        match self.content {
            Content::Data(_) | Content::Zeroes { .. } | Content::Discarded => true,
            Content::Grown => false,
        }
    }

    /// The parts of its sectors of which each survives a power cut or not: pieces of `tear` sectors of a
    /// write, the whole of anything else.
    pub(in crate::disk) fn pieces(&self, tear: Option<u64>) -> Vec<Range<u64>> {
        let span = self.span();
        let tear = tear.filter(|_| self.range.op == Op::Write);
        let Some(bytes) = tear.map(|sectors| sectors.saturating_mul(SECTOR)) else {
            return vec![span];
        };
        let first = span.start / SECTOR * SECTOR;
        let pieces = (span.end - first).div_ceil(bytes);
        let piece = |number: u64| {
            let start = first + number * bytes;
            start.max(span.start)..start.saturating_add(bytes).min(span.end)
        };
        (0..pieces).map(piece).collect()
    }

    /// Puts the part of its bytes from `from` on into `target`.
    pub(super) fn copy_to(&self, target: &mut [u8], from: u64) {
        match self.data() {
            Some(data) => {
                let at = (from - self.range.offset) as usize;
                target.copy_from_slice(&data[at..at + target.len()]);
            }
            None => target.fill(0),
        }
    }

    /// Does it to the image, as far as it lies in `part`.
    pub(in crate::disk) fn apply(&self, image: &dyn Image, part: &Range<u64>) -> io::Result<()> {
        let (at, len) = (part.start, part.end - part.start);
        match &self.content {
            Content::Data(data) => {
                let from = (at - self.range.offset) as usize;
                image.write_at(&data[from..from + len as usize], at)
            }
            Content::Zeroes { keep_size } => image.write_zeroes(at, len, *keep_size),
            Content::Discarded => erase(image, at, len),
            Content::Grown => image.set_len(image.size()?.max(part.end)),
        }
    }
}

impl Entry {
    /// Its number on the disk, from 1.
    pub(in crate::disk) fn number(&self) -> u64 {
        self.number
    }

    /// Its line in `pending`.
    pub(super) fn line(&self) -> PendingLine {
        let (sector, count) = self.change.range.sectors();
        PendingLine {
            number: self.number,
            op: self.change.range.op,
            sector,
            count,
            age: self.answered.elapsed(),
        }
    }
}

/// Makes the range read as zeros in the way that takes the least room.
pub(in crate::disk) fn erase(image: &dyn Image, offset: u64, len: u64) -> io::Result<()> {
    match image.discard(offset, len) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            image.write_zeroes(offset, len, true)
        }
        result => result,
    }
}
