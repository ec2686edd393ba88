//! Where the bytes of a request go: to their place, to another one, or nowhere.

use std::ops::Range;

use crate::fault::{FiredChange, IoRange, Loss};

/// Bytes of a request that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first byte, as the request has it.
    pub(super) from: u64,
    /// The first byte behind it.
    pub(super) to: u64,
    /// How many bytes away it is served.
    pub(super) shift: i64,
}

impl Segment {
    pub(super) fn len(self) -> u64 {
        self.to - self.from
    }

    /// Where it is served.
    pub(super) fn place(self) -> u64 {
        self.from.saturating_add_signed(self.shift)
    }

    /// The bytes of the disk that it is served at.
    pub(super) fn target(self) -> Range<u64> {
        self.place()..self.place().saturating_add(self.len())
    }

    /// The part of it from `start` up to `end`.
    pub(super) fn within(self, start: u64, end: u64) -> Option<Self> {
        let (from, to) = (self.from.max(start), self.to.min(end));
        (from < to).then_some(Self { from, to, ..self })
    }
}

/// The segments of a request of which rules lose or misdirect a part.
#[derive(Debug)]
pub(super) struct Plan {
    /// Those that are served, in order.
    pub(super) served: Vec<Segment>,
    /// A part of it would be served outside of the disk.
    pub(super) leaves_the_disk: bool,
}

impl Plan {
    /// That of a request of a disk with `size` bytes, for which only those that are served elsewhere ask.
    pub(super) fn of(range: IoRange, size: u64, lost: &[Loss], changes: &[FiredChange]) -> Self {
        let mut plan = Self {
            served: Vec::new(),
            leaves_the_disk: false,
        };
        for pair in boundaries(range, lost, changes).windows(2) {
            let &[from, to] = pair else { continue };
            if lost.iter().any(|loss| loss.pieces.overlap(from, to)) {
                continue;
            }
            let moved = changes
                .iter()
                .filter(|fired| fired.pieces.overlap(from, to));
            let shifts = moved.map(|fired| fired.change.shift());
            let shift = shifts.fold(0, i64::saturating_add);
            plan.add(Segment { from, to, shift }, size);
        }
        plan
    }

    /// Adds what of the segment is on the disk. One that stays in its place may make the disk longer.
    fn add(&mut self, segment: Segment, size: u64) {
        let from = segment.shift.min(0).unsigned_abs();
        let to = size.saturating_add_signed(segment.shift.saturating_neg());
        let on_disk = match segment.shift {
            0 => Some(segment),
            _ => segment.within(from, to),
        };
        self.leaves_the_disk |= on_disk != Some(segment);
        self.served.extend(on_disk);
    }
}

/// Where something begins or ends that rules do to a part of the request.
fn boundaries(range: IoRange, lost: &[Loss], changes: &[FiredChange]) -> Vec<u64> {
    let moving = changes.iter().filter(|fired| fired.change.shift() != 0);
    let pieces = moving.map(|fired| &fired.pieces);
    let pieces = pieces.chain(lost.iter().map(|loss| &loss.pieces));
    let parts = pieces.flat_map(|pieces| pieces.within(range.offset, range.end()));
    let ends = parts.flat_map(|(from, to)| [from, to]);
    let mut all: Vec<_> = [range.offset, range.end()]
        .into_iter()
        .chain(ends)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}
