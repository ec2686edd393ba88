//! What is written to a log: records, each of which takes one entry or more.

use super::format::{ENTRY_BYTES, Entry, Flags, MOST_SECTORS, Order};

/// Sectors of the longest discard that one entry holds. xfstests' `replay-log` passes longer ones by without a
/// word.
pub const LONGEST_DISCARD: u64 = 262_144;

/// Entries of the longest discard that is logged: 128 TiB of the disk, and 512 MiB of the log.
const MOST_PIECES: u64 = 1 << 20;

/// Something that has happened to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Data were written.
    Write(Sectors),
    /// Zeros were written. Their data in the log are a hole.
    Zeroes(Sectors),
    /// Sectors were given back. One entry for each [`LONGEST_DISCARD`] sectors.
    Discard(Sectors),
    /// What was answered before the request arrived has become durable.
    Flush(Order),
    /// A text of 1 to 479 bytes.
    Mark(Vec<u8>),
}

/// The sectors of a record, of 512 bytes, and when it arrived and was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sectors {
    /// The first sector.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
    /// Whether they were durable when the request was answered.
    pub fua: bool,
    /// When that was.
    pub order: Order,
}

impl Sectors {
    fn entry(&self, flags: Flags) -> Entry {
        Entry::Request {
            sector: self.sector,
            sectors: self.sectors,
            flags: if self.fua { flags | Flags::FUA } else { flags },
            order: Some(self.order),
        }
    }

    /// A part of a discard.
    fn piece(&self, number: u64) -> Self {
        let done = number * LONGEST_DISCARD;
        Self {
            sector: self.sector + done,
            sectors: LONGEST_DISCARD.min(self.sectors - done),
            ..*self
        }
    }
}

impl Record {
    fn sectors(&self) -> Option<&Sectors> {
        match self {
            Self::Write(sectors) | Self::Zeroes(sectors) | Self::Discard(sectors) => Some(sectors),
            Self::Flush(_) | Self::Mark(_) => None,
        }
    }

    /// Whether the format has no entry for it: no sectors, or an empty text.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Write(sectors) | Self::Zeroes(sectors) | Self::Discard(sectors) => {
                sectors.sectors == 0
            }
            Self::Flush(_) => false,
            Self::Mark(text) => text.is_empty(),
        }
    }

    /// Whether the superblock is to count it at once.
    pub(super) fn is_counted_at_once(&self) -> bool {
        matches!(self, Self::Flush(_) | Self::Mark(_))
    }

    /// Whether a log can hold it: readers count in bytes, with numbers of 64 bits and room to spare.
    pub(super) fn fits(&self) -> bool {
        self.sectors().is_none_or(|sectors| {
            sectors.sector.saturating_add(sectors.sectors) <= MOST_SECTORS
                && self.entry_count() <= MOST_PIECES
        })
    }

    /// How many entries it takes.
    pub(super) fn entry_count(&self) -> u64 {
        match self {
            Self::Discard(sectors) => sectors.sectors.div_ceil(LONGEST_DISCARD),
            Self::Write(_) | Self::Zeroes(_) | Self::Flush(_) | Self::Mark(_) => 1,
        }
    }

    /// Bytes of data after its entry.
    pub(super) fn data_len(&self) -> u64 {
        match self {
            Self::Write(sectors) | Self::Zeroes(sectors) => sectors.sectors.saturating_mul(512),
            Self::Discard(_) | Self::Flush(_) | Self::Mark(_) => 0,
        }
    }

    /// Bytes that it takes in the log.
    pub(super) fn len(&self) -> u64 {
        let entries = self.entry_count().saturating_mul(ENTRY_BYTES as u64);
        entries.saturating_add(self.data_len())
    }

    /// One of its entries.
    pub(super) fn entry(&self, number: u64) -> Entry {
        match self {
            Self::Write(sectors) | Self::Zeroes(sectors) => sectors.entry(Flags::NONE),
            Self::Discard(sectors) => sectors.piece(number).entry(Flags::DISCARD),
            Self::Flush(order) => Entry::Request {
                sector: 0,
                sectors: 0,
                flags: Flags::FLUSH,
                order: Some(*order),
            },
            Self::Mark(text) => Entry::Mark(text.clone()),
        }
    }
}
