//! Noting the damage that rules do to the image, once it is done.

use std::sync::Arc;

use super::Request;
use super::apply::{Applied, Done};
use super::corrupt::pieces;
use crate::disk::device::Disk;
use crate::fault::{Armed, Change, FiredChange, Op};

impl Disk {
    /// Notes the bytes that have reached the image corrupted.
    pub(super) fn note_corrupted(&self, offset: u64, done: usize, applied: &Applied) {
        for FiredChange { change, rule, .. } in &applied.changes {
            match change {
                Change::Corrupt(_) => {
                    for (from, to) in pieces(rule, offset, done) {
                        let place = applied.place(offset) + from as u64;
                        let len = (to - from) as u64;
                        self.damage.record(place, len, "corrupted", rule);
                    }
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
    }

    /// Notes the bytes that are not in the image where the client believes them to be.
    pub(super) fn note_unwritten(&self, offset: u64, len: u64, applied: &Applied) {
        if let Some((_, _, rule)) = &applied.torn {
            let kept = applied.kept(len);
            let place = applied.place(offset) + kept;
            self.damage.record(place, len - kept, "torn", rule);
        }
        if let Some(rule) = applied.misdirection() {
            self.damage.record(offset, len, "not-written", rule);
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
            (Done::Lost(rule), None) => {
                let (offset, len) = request.changed(self.known_size());
                self.damage.record(offset, len, "lost", rule);
            }
            (Done::Served(applied), Some(rule)) => {
                let (offset, len) = request.changed(self.known_size());
                let (what, len) = match request.op() {
                    Op::Write => ("written", applied.kept(len)),
                    Op::Discard => ("discarded", len),
                    Op::Zero => ("zeroed", len),
                    Op::Read | Op::Flush => return,
                };
                self.damage.record(applied.place(offset), len, what, rule);
            }
            (Done::Lost(_), Some(_)) | (Done::Served(_), None) => {}
        }
    }
}
