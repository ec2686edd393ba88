//! The places of a log that is being written: in their order, until they are in its file.

use std::collections::VecDeque;

use super::format::ENTRY_BYTES;
use super::record::Record;

/// The longest record, in bytes, that is collected in memory.
const LONGEST_COLLECTED: u64 = 64 << 10;

/// How many bytes are collected at most. Further records are written one by one.
const MOST_COLLECTED: u64 = 4 << 20;

/// The largest buffer that is kept for a later record.
const LARGEST_SPARE: usize = 16 << 10;

/// How many buffers are kept.
const MOST_SPARE: usize = 256;

/// How many bytes that are whole are written at once.
const WRITTEN_AT_ONCE: u64 = 256 << 10;

/// Where the log grows.
#[derive(Debug)]
pub(super) struct Places {
    /// What is filled from the beginning on.
    pub(super) whole: Extent,
    /// What of that is in the file.
    pub(super) in_file: Extent,
    /// How many are being filled.
    pub(super) under_way: usize,
    pub(super) has_ended: bool,
    /// The places after what has been taken to be written.
    slots: VecDeque<Slot>,
    /// The number of the first of them.
    first: u64,
    /// How many of them are filled, from the first on.
    filled: usize,
    /// Bytes of those that are collected.
    ready: u64,
    /// Bytes in memory, or for which room there is kept.
    collected: u64,
    /// Empty buffers: memory that was used before costs less than new memory.
    spare: Vec<Vec<u8>>,
    /// Where the next place begins.
    next: u64,
}

/// A part of a log, from its beginning on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// A place, as the log remembers it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) at: u64,
    entries: u64,
    len: u64,
    /// None while it is being filled, and for ever where that has failed.
    filled: Option<Filled>,
    is_counted_at_once: bool,
}

/// Where a record is.
#[derive(Debug)]
pub(super) enum Filled {
    InMemory(Vec<u8>),
    InFile,
}

/// What is to be done once a place is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Write what is whole, unless another thread does.
    Write,
    /// Write that, and have the superblock count it.
    Count,
}

impl Slot {
    /// Whether its record is in memory.
    pub(super) fn is_collected(&self) -> bool {
        matches!(self.filled, Some(Filled::InMemory(_)))
    }

    /// The record, if it is in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.filled {
            Some(Filled::InMemory(bytes)) => bytes,
            Some(Filled::InFile) | None => &[],
        }
    }
}

impl Extent {
    fn add(&mut self, slot: &Slot) {
        self.entries += slot.entries;
        self.bytes += slot.len;
    }
}

impl Places {
    pub(super) fn new() -> Self {
        let superblock = Extent {
            entries: 0,
            bytes: ENTRY_BYTES as u64,
        };
        Self {
            whole: superblock,
            in_file: superblock,
            under_way: 0,
            has_ended: false,
            slots: VecDeque::new(),
            first: 0,
            filled: 0,
            ready: 0,
            collected: 0,
            spare: Vec::new(),
            next: superblock.bytes,
        }
    }

    /// The number of the next place, where it begins, and an empty buffer if its record is collected.
    pub(super) fn reserve(&mut self, record: &Record) -> (u64, u64, Option<Vec<u8>>) {
        let (number, at) = (self.first + self.slots.len() as u64, self.next);
        let len = record.len();
        let is_short = len <= LONGEST_COLLECTED && self.collected < MOST_COLLECTED;
        let is_collected = is_short && !matches!(record, Record::Zeroes(_));
        let buffer = is_collected.then(|| {
            self.collected += len;
            self.spare.pop().unwrap_or_default()
        });
        self.next = at.saturating_add(len);
        self.slots.push_back(Slot {
            at,
            entries: record.entry_count(),
            len,
            filled: None,
            is_counted_at_once: record.is_counted_at_once(),
        });
        self.under_way += 1;
        (number, at, buffer)
    }

    /// Notes that a place is filled; None if that has failed.
    pub(super) fn settle(&mut self, number: u64, filled: Option<Filled>) -> Due {
        self.under_way -= 1;
        self.slots[(number - self.first) as usize].filled = filled;
        let mut is_counted = false;
        while let Some(slot) = self
            .slots
            .get(self.filled)
            .filter(|slot| slot.filled.is_some())
        {
            self.whole.add(slot);
            self.ready += slot.bytes().len() as u64;
            is_counted |= slot.is_counted_at_once;
            self.filled += 1;
        }
        match is_counted {
            true => Due::Count,
            false if self.ready >= WRITTEN_AT_ONCE => Due::Write,
            false => Due::Nothing,
        }
    }

    /// Takes filled places, `most` of them at most: whoever does it writes them, one after the other.
    pub(super) fn take(&mut self, most: usize) -> Vec<Slot> {
        let number = self.filled.min(most);
        let taken: Vec<_> = self.slots.drain(..number).collect();
        let bytes: u64 = taken.iter().map(|slot| slot.bytes().len() as u64).sum();
        self.first += number as u64;
        self.filled -= number;
        self.ready -= bytes;
        self.collected -= bytes;
        taken
    }

    /// Notes that the next places, `whole` of them, are in the file.
    pub(super) fn note_in_file(&mut self, slots: Vec<Slot>, whole: usize) {
        for slot in slots.into_iter().take(whole) {
            self.in_file.add(&slot);
            if let Some(Filled::InMemory(mut buffer)) = slot.filled
                && buffer.capacity() <= LARGEST_SPARE
                && self.spare.len() < MOST_SPARE
            {
                buffer.clear();
                self.spare.push(buffer);
            }
        }
    }
}
