//! Sets of sectors.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Ranges that neither overlap nor touch, by their first sector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sectors(BTreeMap<u64, u64>);

impl Sectors {
    /// Adds `sectors`.
    pub fn insert(&mut self, sectors: Range<u64>) {
        if sectors.is_empty() || self.has(&sectors) {
            return;
        }
        let (mut start, mut end) = (sectors.start, sectors.end);
        let touching = self
            .0
            .range(..=end)
            .rev()
            .take_while(|(_, last)| **last >= start);
        let touching: Vec<_> = touching.map(|(first, last)| (*first, *last)).collect();
        for (first, last) in touching {
            self.0.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.0.insert(start, end);
    }

    /// Whether all of `sectors` are in it.
    pub fn has(&self, sectors: &Range<u64>) -> bool {
        let before = self.0.range(..=sectors.start).next_back();
        before.is_some_and(|(_, end)| *end >= sectors.end)
    }

    /// The parts of `sectors`, first to last, each with whether it is in the set.
    pub fn split(&self, sectors: &Range<u64>) -> Vec<(Range<u64>, bool)> {
        let before = self.0.range(..sectors.start).next_back();
        let before = before.filter(|(_, end)| **end > sectors.start);
        let (mut parts, mut at) = (Vec::new(), sectors.start);
        for (start, end) in before.into_iter().chain(self.0.range(sectors.clone())) {
            let (start, end) = (*start.max(&sectors.start), *end.min(&sectors.end));
            if at < start {
                parts.push((at..start, false));
            }
            parts.push((start..end, true));
            at = end;
        }
        if at < sectors.end {
            parts.push((at..sectors.end, false));
        }
        parts
    }

    /// All ranges, first to last.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    /// Reads what [`Display`](fmt::Display) prints. None for another text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut sectors = Self::default();
        for word in text.split_whitespace() {
            let (start, count) = word.split_once('+')?;
            let start: u64 = start.parse().ok()?;
            sectors.insert(start..start.checked_add(count.parse().ok()?)?);
        }
        Some(sectors)
    }
}

/// Prints as `START+COUNT`, with spaces between them.
impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for range in self.ranges() {
            write!(f, "{before}{}+{}", range.start, range.end - range.start)?;
            before = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn set_has_exactly_the_sectors_that_were_put_in(
            inserted in prop::collection::vec((0_u64..50, 0_u64..9), 0..20)
        ) {
            let (mut set, mut model) = (Sectors::default(), [false; 64]);
            for (start, len) in inserted {
                set.insert(start..start + len);
                model[start as usize..(start + len) as usize].fill(true);
            }
            let mut found = Vec::new();
            for (part, is_in) in set.split(&(0..64)) {
                found.extend(part.map(|_| is_in));
            }
            prop_assert_eq!(found, model);
            let ranges: Vec<_> = set.ranges().collect();
            prop_assert_eq!(Sectors::parse(&set.to_string()), Some(set.clone()));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
