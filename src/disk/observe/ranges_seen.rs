//! Ranges of requests, of which it is asked how many overlap a given one.

/// Ranges of bytes. Adding one, and asking, takes some logarithms of their number.
#[derive(Debug, Default)]
pub(super) struct RangesSeen {
    /// All, those without a byte too.
    total: u64,
    by_start: Runs<(u64, u64)>,
    ends: Runs<u64>,
}

impl RangesSeen {
    /// Adds the bytes from `start` up to `end`.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        self.total += 1;
        if start < end {
            self.by_start.add((start, end));
            self.ends.add(end);
        }
    }

    /// How many have a byte in one of `parts`, which are sorted and do not touch each other; all without parts.
    pub(super) fn overlapping(&self, parts: &[(u64, u64)]) -> u64 {
        match parts {
            [] => self.total,
            // Those that end before it are among those that start before its end.
            [(from, to)] => {
                let started = self.by_start.count(|(start, _)| start < to);
                started - self.ends.count(|end| end <= from)
            }
            parts => {
                let overlaps = |(start, end): &&(u64, u64)| {
                    parts.iter().any(|(from, to)| start < to && from < end)
                };
                self.by_start.all().filter(overlaps).count() as u64
            }
        }
    }
}

/// Values in sorted runs, each at least twice as long as the next one.
#[derive(Debug)]
struct Runs<T>(Vec<Vec<T>>);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Runs<T> {
    fn add(&mut self, value: T) {
        let mut run = vec![value];
        while let Some(shorter) = self.0.pop_if(|last| last.len() < 2 * run.len()) {
            run.extend(shorter);
        }
        // A merge of two sorted runs, which this sort recognises.
        run.sort();
        self.0.push(run);
    }

    /// How many values come before all of those for which `is_before` does not hold.
    fn count(&self, is_before: impl Fn(&T) -> bool) -> u64 {
        let runs = self.0.iter();
        runs.map(|run| run.partition_point(&is_before) as u64).sum()
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_seen_are_counted_as_one_by_one(
            ranges in proptest::collection::vec((0_u64..60, 0_u64..9), 0..200),
            at in 0_u64..60, len in 1_u64..9, gap in 1_u64..9,
        ) {
            let mut seen = RangesSeen::default();
            ranges.iter().for_each(|(start, len)| seen.add(*start, start + len));
            let count = |parts: &[(u64, u64)]| {
                let overlaps = |&&(start, len): &&(u64, u64)| {
                    len > 0 && parts.iter().any(|(from, to)| start < *to && *from < start + len)
                };
                ranges.iter().filter(overlaps).count() as u64
            };
            let one = [(at, at + len)];
            let two = [one[0], (at + len + gap, at + len + gap + len)];
            prop_assert_eq!(seen.overlapping(&[]), ranges.len() as u64);
            prop_assert_eq!(seen.overlapping(&one), count(&one));
            prop_assert_eq!(seen.overlapping(&two), count(&two));
        }
    }
}
