//! A set of ranges of bytes.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges of bytes that do not overlap, each by its start with its end.
#[derive(Debug, Default)]
pub(super) struct Pieces(BTreeMap<u64, u64>);

impl Pieces {
    /// Adds a piece, whose parts may be there already.
    pub(super) fn insert(&mut self, piece: &Range<u64>) {
        let _ = self.take(piece);
        // Neighbours are one.
        let end = self.0.remove(&piece.end).unwrap_or(piece.end);
        match self.0.range_mut(..piece.start).next_back() {
            Some((_, before)) if *before == piece.start => *before = end,
            _ => drop(self.0.insert(piece.start, end)),
        }
    }

    /// How many there are, neighbours as one.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one lies in `piece`, if only in part.
    pub(super) fn has(&self, piece: &Range<u64>) -> bool {
        let last = self.0.range(..piece.end).next_back();
        last.is_some_and(|(_, end)| *end > piece.start)
    }

    /// Removes the parts that lie in `piece`, and returns them.
    pub(super) fn take(&mut self, piece: &Range<u64>) -> Vec<Range<u64>> {
        let last = self.0.range(..piece.start).next_back();
        let first = last.map_or(piece.start, |(start, _)| *start);
        let touched = self.0.range(first..piece.end);
        let touched: Vec<_> = touched.map(|(start, end)| *start..*end).collect();
        let mut taken = Vec::new();
        for range in touched.into_iter().filter(|range| range.end > piece.start) {
            self.0.remove(&range.start);
            if range.start < piece.start {
                self.0.insert(range.start, piece.start);
            }
            if range.end > piece.end {
                self.0.insert(piece.end, range.end);
            }
            taken.push(range.start.max(piece.start)..range.end.min(piece.end));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[Range<u64>]) -> Pieces {
        let mut pieces = Pieces::default();
        ranges.iter().for_each(|range| pieces.insert(range));
        pieces
    }

    fn list(pieces: &Pieces) -> Vec<(u64, u64)> {
        pieces.0.clone().into_iter().collect()
    }

    #[test]
    fn neighbours_are_one_piece() {
        let pieces = of(&[0..4096, 40960..45056, 4096..20480, 12288..16384]);
        assert_eq!(list(&pieces), [(0, 20480), (40960, 45056)]);
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn part_that_is_taken_leaves_what_is_around_it() {
        let mut pieces = of(&[0..4096, 8192..20480, 40960..45056]);
        assert_eq!(pieces.take(&(2048..12288)), [2048..4096, 8192..12288]);
        assert_eq!(list(&pieces), [(0, 2048), (12288, 20480), (40960, 45056)]);
        assert_eq!(pieces.take(&(0..u64::MAX)).len(), 3);
        assert_eq!(pieces.len(), 0);
    }

    #[test]
    fn piece_is_found_by_any_byte_of_it() {
        let pieces = of(&[4096..6000, 6000..8192]);
        let has = |piece: Range<u64>| pieces.has(&piece);
        assert!(has(0..4097) && has(8191..8192) && has(5000..5001));
        assert!(!has(0..4096) && !has(8192..9000));
    }
}
