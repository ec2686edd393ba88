//! How pending requests become durable. All of it is done by the holder of the disk's turn.

use std::io;
use std::ops::Range;

use super::entry::{Entry, StoredChange};
use super::{Amount, CachedImage};
use crate::disk::path::reservation::Reservation;
use crate::disk::range_lock::RangeGuard;
use crate::storage::Image;

/// As many requests are taken from the overlay at once.
const BATCH: usize = 256;
/// So much more than is needed becomes durable early, at most: in bytes.
const SLACK: u64 = 8 << 20;

impl CachedImage {
    /// Makes durable what was answered before `sequence`, in order, and nothing else. The image below is not
    /// flushed.
    pub(in crate::disk) fn make_durable(
        &self,
        _turn: &RangeGuard,
        sequence: u64,
    ) -> io::Result<()> {
        loop {
            let batch = self.overlay.read().oldest_before(sequence, BATCH);
            if batch.is_empty() {
                return Ok(());
            }
            for entry in batch {
                self.store(&entry)?;
            }
        }
    }

    fn store(&self, entry: &Entry) -> io::Result<()> {
        let live = self.overlay.read().live(entry, entry.change.span());
        for part in live {
            entry.change.apply(&self.below, &part)?;
        }
        let mut overlay = self.overlay.write();
        overlay.remove(entry);
        self.keep_count(&overlay);
        Ok(())
    }

    /// Writes data that are durable when this returns, whatever is pending. Returns how many bytes were written,
    /// and why these are not all.
    pub(in crate::disk) fn write_durably(
        &self,
        _turn: &RangeGuard,
        data: &[u8],
        offset: u64,
        data_only: bool,
        log: impl FnOnce(u64),
    ) -> (usize, io::Result<()>) {
        let (done, result) = self.below.write_part(data, offset);
        let result = result.and_then(|()| self.below.flush(data_only));
        self.pass_by(offset..offset + done as u64, log);
        (done, result)
    }

    /// Stores a change below: it is durable early, before older ones are. Returns how much that is.
    pub(in crate::disk) fn store_through(
        &self,
        _turn: &RangeGuard,
        change: &StoredChange,
        log: impl FnOnce(u64),
    ) -> io::Result<Amount> {
        change.apply(&self.below, &change.span())?;
        self.pass_by(change.span(), log);
        let evicted = Amount {
            requests: 1,
            bytes: change.range.len,
        };
        self.count_evicted(evicted);
        Ok(evicted)
    }

    fn pass_by(&self, range: Range<u64>, log: impl FnOnce(u64)) {
        let mut overlay = self.overlay.write();
        log(self.next_in_order());
        overlay.pass_by(range);
        self.keep_count(&overlay);
    }

    /// Makes the oldest pending requests durable until there is room for `cost` bytes. Returns the room, None if
    /// others hold all memory, and how much became durable.
    pub(in crate::disk) fn make_room(
        &self,
        _turn: &RangeGuard,
        cost: u64,
    ) -> io::Result<(Option<Reservation>, Amount)> {
        let wanted = cost + SLACK.min(self.memory.limit() / 16);
        let mut evicted = Amount::default();
        while self.memory.free() < wanted {
            let Some(oldest) = self.overlay.read().oldest() else {
                break;
            };
            self.store(&oldest)?;
            evicted.requests += 1;
            evicted.bytes += oldest.change.range.len;
        }
        self.count_evicted(evicted);
        Ok((self.room_for(cost), evicted))
    }

    fn count_evicted(&self, evicted: Amount) {
        let mut all = self.evicted.lock();
        all.requests += evicted.requests;
        all.bytes += evicted.bytes;
    }
}
