//! The pending requests of a disk, in order, and what a read finds of them. It does no I/O.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{Entry, StoredChange};
use crate::disk::path::reservation::Reservation;
use crate::protocol::PendingLine;
use crate::units::RangeMap;

/// Pending requests, oldest first by their numbers.
#[derive(Clone, Default)]
pub(super) struct Overlay {
    /// Their numbers follow each other.
    entries: VecDeque<Arc<Entry>>,
    /// The newest of them at each byte.
    visible: RangeMap<Arc<Entry>>,
    /// What became durable alone, past older requests: they do not concern these bytes any more. The value is
    /// the number from which on requests do.
    passed_by: RangeMap<u64>,
    bytes: u64,
    /// Where the disk ends at least.
    end: u64,
    last_number: u64,
}

/// Parts of pending requests that a read finds, first to last.
pub(super) type Found = Vec<(Range<u64>, Arc<Entry>)>;

impl Overlay {
    /// Adds a request, which is answered at `sequence`.
    pub(super) fn add(
        &mut self,
        change: StoredChange,
        sequence: u64,
        mut room: Reservation,
    ) -> Arc<Entry> {
        // Of a torn write less is stored than there was room for.
        room.shrink(room.bytes().saturating_sub(change.cost()));
        self.bytes += change.range.len;
        if change.grows() {
            self.end = self.end.max(change.range.end());
        }
        self.last_number += 1;
        let entry = Arc::new(Entry {
            number: self.last_number,
            sequence,
            answered: Instant::now(),
            change,
            _room: room,
        });
        if entry.change.covers() {
            let span = entry.change.span();
            self.visible.insert(span, Arc::clone(&entry));
        }
        self.entries.push_back(Arc::clone(&entry));
        entry
    }

    /// What reads of `range` find in it.
    pub(super) fn find(&self, range: Range<u64>) -> Found {
        let found = self.visible.within(range);
        found
            .map(|(part, entry)| (part, Arc::clone(entry)))
            .collect()
    }

    /// The bytes that some of it is for.
    pub(super) fn spans(&self) -> Vec<Range<u64>> {
        let visible = self.visible.within(0..u64::MAX);
        visible.map(|(part, _)| part).collect()
    }

    /// The first data in `range` that reads find in it: zeros are none.
    pub(super) fn first_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        let mut found = self.visible.within(range);
        let first = found.find(|(_, entry)| entry.change.data().is_some());
        first.map(|(part, _)| part)
    }

    /// Where the disk ends at least. It may be where the image ends by now.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn oldest(&self) -> Option<Arc<Entry>> {
        self.entries.front().cloned()
    }

    /// The oldest requests that were answered before `sequence`, at most `most` of them.
    pub(super) fn oldest_before(&self, sequence: u64, most: usize) -> Vec<Arc<Entry>> {
        let entries = self.entries.iter();
        let covered = entries.take_while(|entry| entry.sequence < sequence);
        covered.take(most).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().cloned().collect()
    }

    /// The parts of the request that still matter: nothing newer has become durable there, and it was not
    /// forgotten meanwhile.
    pub(super) fn live(&self, entry: &Entry, part: Range<u64>) -> Vec<Range<u64>> {
        if !self.has(entry.number) {
            return Vec::new();
        }
        if self.passed_by.is_empty() {
            return vec![part];
        }
        let (mut live, mut at) = (Vec::new(), part.start);
        for (passed, number) in self.passed_by.within(part.clone()) {
            if entry.number >= *number {
                continue;
            }
            if at < passed.start {
                live.push(at..passed.start);
            }
            at = passed.end;
        }
        if at < part.end {
            live.push(at..part.end);
        }
        live
    }

    /// The request is in the image.
    pub(super) fn remove(&mut self, entry: &Entry) {
        // The oldest become durable first.
        let oldest = self.entries.front();
        if oldest.is_none_or(|oldest| oldest.number != entry.number) {
            return;
        }
        let Some(removed) = self.entries.pop_front() else {
            return;
        };
        self.bytes -= removed.change.range.len;
        let parts = self.visible.within(removed.change.span());
        let parts: Vec<_> = parts
            .filter(|(_, newest)| newest.number == removed.number)
            .map(|(part, _)| part)
            .collect();
        parts.iter().for_each(|part| self.visible.remove(part));
        if self.entries.is_empty() {
            self.passed_by = RangeMap::default();
            self.end = 0;
        }
    }

    /// The bytes of `range` are in the image as they are now: nothing older concerns them.
    pub(super) fn pass_by(&mut self, range: Range<u64>) {
        self.visible.remove(&range);
        if let Some(oldest) = self.oldest() {
            self.passed_by.retain(|number| *number > oldest.number);
            self.passed_by.insert(range, self.last_number + 1);
        }
    }

    /// Takes all requests out.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.visible = RangeMap::default();
        self.passed_by = RangeMap::default();
        (self.bytes, self.end) = (0, 0);
    }

    pub(super) fn has(&self, number: u64) -> bool {
        let first = self.entries.front().map(|oldest| oldest.number);
        first.is_some_and(|first| (first..=self.last_number).contains(&number))
    }

    pub(super) fn lines(&self) -> Vec<PendingLine> {
        self.live_entries().map(|entry| entry.line()).collect()
    }

    /// Those of which a part still matters.
    fn live_entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let entries = self.entries.iter();
        entries.filter(|entry| !self.live(entry, entry.change.span()).is_empty())
    }

    /// How many entries it has, those included that do not matter any more.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// How many requests still matter, and their bytes.
    pub(super) fn count(&self) -> (u64, u64) {
        if self.passed_by.is_empty() {
            return (self.len(), self.bytes);
        }
        let lens = self.live_entries().map(|entry| entry.change.range.len);
        lens.fold((0, 0), |(count, bytes), len| (count + 1, bytes + len))
    }
}
