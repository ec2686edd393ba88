//! A map from ranges of numbers, which do not overlap, to values.

use std::collections::BTreeMap;
use std::ops::Range;

/// A map from ranges, which do not overlap, to values. A later insertion replaces what it overlaps.
#[derive(Clone, Debug)]
pub struct RangeMap<V>(BTreeMap<u64, (u64, V)>);

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Clone + PartialEq> RangeMap<V> {
    /// Gives each number of `range` the value. Neighbours with the same value become one range.
    pub fn insert_joined(&mut self, mut range: Range<u64>, value: V) {
        if range.is_empty() {
            return;
        }
        // That it is a part of what is there already is a common case: one look finds out.
        if let Some((_, (end, old))) = self.0.range(..=range.start).next_back()
            && *end >= range.end
            && *old == value
        {
            return;
        }
        self.remove(&range);
        if let Some((start, (end, old))) = self.0.range(..range.start).next_back()
            && *end == range.start
            && *old == value
        {
            range.start = *start;
        }
        if let Some((end, old)) = self.0.get(&range.end)
            && *old == value
        {
            let behind = std::mem::replace(&mut range.end, *end);
            self.0.remove(&behind);
        }
        self.0.insert(range.start, (range.end, value));
    }
}

impl<V: Clone> RangeMap<V> {
    /// Whether nothing has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Gives each number of `range` the value.
    pub fn insert(&mut self, range: Range<u64>, value: V) {
        if range.is_empty() {
            return;
        }
        // That it overlaps nothing, or that it is there already, are the common cases: one look finds out.
        match self.0.range_mut(..range.end).next_back() {
            Some((start, (end, old))) if (*start..*end) == range => {
                *old = value;
                return;
            }
            Some((_, (end, _))) if *end > range.start => self.remove(&range),
            _ => {}
        }
        self.0.insert(range.start, (range.end, value));
    }

    /// Takes the values of all numbers of `range` away.
    pub fn remove(&mut self, range: &Range<u64>) {
        self.cut_at(range.start);
        self.cut_at(range.end);
        while let Some((start, _)) = self.0.range(range.clone()).next() {
            let start = *start;
            self.0.remove(&start);
        }
    }

    /// Cuts the range that has numbers on both sides of `at`.
    fn cut_at(&mut self, at: u64) {
        let Some((_, (end, value))) = self.0.range_mut(..at).next_back() else {
            return;
        };
        if *end > at {
            let rest = (*end, value.clone());
            *end = at;
            self.0.insert(at, rest);
        }
    }

    /// The parts of `range` that have a value, first to last.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, &V)> {
        let before = self.0.range(..range.start).next_back();
        let asked = range.clone();
        let before = before.filter(move |(_, (end, _))| *end > asked.start && !asked.is_empty());
        let rest = self.0.range(range.clone());
        let all = before.into_iter().chain(rest);
        all.map(move |(start, (end, value))| {
            ((*start).max(range.start)..(*end).min(range.end), value)
        })
    }

    /// Keeps the ranges whose value is `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&V) -> bool) {
        self.0.retain(|_, (_, value)| wanted(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn range_map_agrees_with_a_list_of_numbers(
            steps in proptest::collection::vec((0_u64..40, 0_u64..12, any::<bool>()), 0..40),
            from in 0_u64..40,
            len in 0_u64..20,
        ) {
            let (mut map, mut list) = (RangeMap::default(), vec![None; 64]);
            for (value, (start, len, inserts)) in steps.into_iter().enumerate() {
                let range = start..start + len;
                list[range.start as usize..range.end as usize].fill(inserts.then_some(value));
                match inserts {
                    true => map.insert(range, value),
                    false => map.remove(&range),
                }
            }
            let mut found = vec![None; 64];
            for (range, value) in map.within(from..from + len) {
                prop_assert!(!range.is_empty());
                found[range.start as usize..range.end as usize].fill(Some(*value));
            }
            let asked = from as usize..(from + len) as usize;
            prop_assert_eq!(&found[asked.clone()], &list[asked.clone()]);
            prop_assert!(found[..asked.start].iter().all(Option::is_none));
            prop_assert_eq!(map.is_empty(), list.iter().all(Option::is_none));
        }

        #[test]
        fn range_map_with_joined_neighbours_has_no_two_that_could_be_one(
            steps in proptest::collection::vec((0_u64..40, 0_u64..12, any::<bool>()), 0..40),
        ) {
            let (mut map, mut list) = (RangeMap::default(), vec![None; 64]);
            for (start, len, value) in steps {
                let range = start..start + len;
                list[range.start as usize..range.end as usize].fill(Some(value));
                map.insert_joined(range, value);
            }
            let mut found = vec![None; 64];
            let mut last = None;
            for (range, value) in map.within(0..64) {
                found[range.start as usize..range.end as usize].fill(Some(*value));
                prop_assert!(last != Some((range.start, *value)));
                last = Some((range.end, *value));
            }
            prop_assert_eq!(found, list);
        }
    }
}
