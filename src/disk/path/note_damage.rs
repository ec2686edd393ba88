//! Noting the damage that rules do to the image, once it is done.

use std::sync::Arc;

use super::Request;
use super::apply::{Applied, Done};
use super::plan::Segment;
use crate::disk::device::Disk;
use crate::fault::{Armed, Change, FiredChange, Loss, Op};

impl Disk {
    /// Notes the bytes of the segment that have reached the image corrupted: the first `done` ones.
    pub(super) fn note_corrupted(&self, segment: Segment, done: usize, applied: &Applied) {
        let end = segment.from + done as u64;
        for FiredChange {
            change,
            pieces,
            rule,
            ..
        } in &applied.changes
        {
            match change {
                Change::Corrupt(_) => {
                    for (from, to) in pieces.within(segment.from, end) {
                        let place = from.saturating_add_signed(segment.shift);
                        self.damage.record(place, to - from, "corrupted", rule);
                    }
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
    }

    /// Notes the bytes of a write that a rule has torn off.
    pub(super) fn note_torn(&self, offset: u64, len: u64, applied: &Applied) {
        let Some((_, _, rule)) = &applied.torn else {
            return;
        };
        for part in applied.torn_off(offset, len) {
            self.damage.record(part.place(), part.len(), "torn", rule);
        }
    }

    /// Notes the bytes that are not in the image where the client believes them to be, since they went elsewhere:
    /// nothing for a client that is told of an error.
    pub(super) fn note_misdirected(&self, offset: u64, len: u64, applied: &Applied) {
        if applied.afterwards().is_some() {
            return;
        }
        for part in applied.segments(offset, len) {
            if let Some(rule) = applied.misdirection(part) {
                let (from, len) = (part.from, part.len());
                self.damage.record(from, len, "not-written", rule);
            }
        }
    }

    /// Notes the bytes that a misdirected segment has changed: the first `done` ones.
    pub(super) fn note_overwritten(&self, segment: Segment, done: u64, applied: &Applied) {
        if let Some(rule) = applied.misdirection(segment) {
            let place = segment.place();
            self.damage.record(place, done, "overwritten", rule);
        }
    }

    /// Notes what of the bytes from `offset` on was acknowledged and not done.
    fn note_lost(&self, offset: u64, len: u64, lost: &[Loss]) {
        for Loss { pieces, rule } in lost {
            for (from, to) in pieces.within(offset, offset.saturating_add(len)) {
                self.damage.record(from, to - from, "lost", rule);
            }
        }
    }

    /// Notes the part of an acknowledged request that was not done; or the part that was done of one that
    /// fails by the rule `late` after all.
    pub(super) fn note_damage(
        &self,
        request: &Request<'_>,
        done: Done<'_>,
        late: Option<&Arc<Armed>>,
    ) {
        // The known size, not one that the host is asked for: this may be a loop thread, and storage
        // may hang.
        match (done, late) {
            (Done::Lost(lost), None) => {
                let (offset, len) = request.changed(self.known_size());
                self.note_lost(offset, len, lost);
            }
            (Done::Served(applied), None) if applied.lost.is_empty() => {}
            (Done::Served(applied), None) => {
                let (offset, len) = request.changed(self.known_size());
                self.note_lost(offset, len, &applied.lost);
            }
            (Done::Served(applied), Some(rule)) => {
                let (offset, len) = request.changed(self.known_size());
                let what = match request.op() {
                    Op::Write => "written",
                    Op::Discard => "discarded",
                    Op::Zero => "zeroed",
                    Op::Read | Op::Flush => return,
                };
                let end = offset.saturating_add(len);
                let parts = applied.served(offset, len);
                for part in parts.filter_map(|part| part.within(offset, end)) {
                    self.damage.record(part.place(), part.len(), what, rule);
                }
            }
            (Done::Lost(_), Some(_)) => {}
        }
    }
}
