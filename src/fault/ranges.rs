//! The bytes that a rule is for: sorted ranges that do not touch each other.

use super::{IoRange, Sectors};
use crate::protocol::names::SECTOR;

/// Ranges of bytes, each as its first byte and the first after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// All bytes.
    pub fn all() -> Self {
        Self(vec![(0, u64::MAX)])
    }

    /// The bytes of these sectors, each once.
    pub fn of(sectors: impl IntoIterator<Item = Sectors>) -> Self {
        Self::joined(sectors.into_iter().map(Sectors::bytes).collect())
    }

    /// The bytes of a request.
    pub fn whole(range: IoRange) -> Self {
        let all = (range.offset, range.end());
        Self((range.len > 0).then_some(all).into_iter().collect())
    }

    /// The bytes of these ranges, each once.
    pub fn of_bytes(ranges: Vec<(u64, u64)>) -> Self {
        Self::joined(ranges)
    }

    fn joined(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match joined.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => joined.push((start, end)),
            }
        }
        Self(joined)
    }

    /// These bytes, and also the same moved by `by` bytes.
    #[must_use]
    pub fn with_moved(&self, by: i64) -> Self {
        let move_to = |at: u64| at.saturating_add_signed(by);
        let moved = self
            .0
            .iter()
            .map(|(start, end)| (move_to(*start), move_to(*end)));
        let both = self.0.iter().copied().chain(moved);
        Self::joined(both.filter(|(start, end)| start < end).collect())
    }

    /// Their parts from `start` up to `end`.
    #[must_use]
    pub fn cut(&self, start: u64, end: u64) -> Self {
        Self(self.within(start, end).collect())
    }

    /// The parts of them that are in `other` too, and those that are not.
    pub fn split(&self, other: &Self) -> (Self, Self) {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for (start, end) in self.iter() {
            let mut at = start;
            for (from, to) in other.within(start, end) {
                if at < from {
                    outside.push((at, from));
                }
                inside.push((from, to));
                at = to;
            }
            if at < end {
                outside.push((at, end));
            }
        }
        (Self(inside), Self(outside))
    }

    /// The sectors of ranges that have whole ones.
    pub fn sectors(&self) -> impl Iterator<Item = Sectors> {
        self.0.iter().map(|(start, end)| Sectors {
            start: start / SECTOR,
            count: (end - start) / SECTOR,
        })
    }

    /// Whether they have no byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges themselves.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// The parts of them from `start` up to `end`.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let first = self.0.partition_point(|range| range.1 <= start);
        let near = self.0[first..]
            .iter()
            .take_while(move |range| range.0 < end);
        let parts = near.map(move |range| (range.0.max(start), range.1.min(end)));
        parts.filter(|(from, to)| from < to)
    }

    /// Whether a byte from `start` up to `end` is in one of them.
    pub fn overlap(&self, start: u64, end: u64) -> bool {
        self.within(start, end).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(at: &[(u64, u64)]) -> Ranges {
        let sectors = at.iter().map(|&(start, count)| Sectors { start, count });
        Ranges::of(sectors)
    }

    #[test]
    fn ranges_that_touch_are_one_and_a_byte_is_in_one_only() {
        let found: Vec<_> = ranges(&[(4, 2), (0, 1), (0, 1), (1, 1), (5, 3)])
            .iter()
            .collect();
        assert_eq!(found, [(0, 1024), (2048, 4096)]);
        assert_eq!(ranges(&[]).iter().collect::<Vec<_>>(), []);
    }

    #[test]
    fn part_ends_with_the_request_and_with_its_range() {
        let ranges = ranges(&[(1, 1), (4, 4)]);
        let within = |start, end| ranges.within(start, end).collect::<Vec<_>>();
        assert_eq!(within(0, 3000), [(512, 1024), (2048, 3000)]);
        assert_eq!(within(600, 700), [(600, 700)]);
        assert_eq!(within(1024, 2048), []);
        assert!(!ranges.overlap(1024, 2048) && ranges.overlap(1023, 1024));
    }

    #[test]
    fn split_ranges_are_inside_or_outside_of_the_others() {
        let (inside, outside) = ranges(&[(0, 4), (6, 2), (9, 1)]).split(&ranges(&[(1, 1), (3, 4)]));
        let inside: Vec<_> = inside.iter().collect();
        assert_eq!(inside, [(512, 1024), (1536, 2048), (3072, 3584)]);
        let outside: Vec<_> = outside.iter().collect();
        assert_eq!(
            outside,
            [(0, 512), (1024, 1536), (3584, 4096), (4608, 5120)]
        );
    }

    #[test]
    fn moved_ranges_end_at_the_first_byte() {
        let moved = ranges(&[(1, 2)]).with_moved(-1024);
        assert_eq!(moved.iter().collect::<Vec<_>>(), [(0, 1536)]);
    }
}
