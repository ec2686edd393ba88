//! An index of rules by operation and sector: it finds those that may match a request.

use std::sync::Arc;

use super::{Armed, IoRange, Op};

/// By operation, the rules for any sector and those for ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Index([OfOp; Op::ALL.len()]);

#[derive(Clone, Debug, Default)]
struct OfOp {
    /// Places in the list of rules.
    anywhere: Vec<u32>,
    /// Sorted by their start.
    ranges: Vec<Range>,
}

/// A range of bytes that a rule is for.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
    /// The largest end of this range and all before it.
    furthest: u64,
    rule: u32,
}

impl OfOp {
    fn add(&mut self, armed: &Armed, rule: u32) {
        if armed.rule.is_anywhere() {
            return self.anywhere.push(rule);
        }
        let ranges = armed.ranges.iter().map(|(start, end)| Range {
            start,
            end,
            furthest: end,
            rule,
        });
        self.ranges.extend(ranges);
    }

    fn sort(&mut self) {
        self.ranges.sort_by_key(|range| range.start);
        let mut furthest = 0;
        for range in &mut self.ranges {
            furthest = furthest.max(range.end);
            range.furthest = furthest;
        }
    }

    /// The rules with a range that overlaps, one entry for each such range.
    fn hits(&self, range: IoRange) -> impl Iterator<Item = u32> {
        let IoRange { offset, .. } = range;
        let end = range.end();
        let after = self.ranges.partition_point(|known| known.start < end);
        let before = self.ranges[..after].iter().rev();
        let reach = before.take_while(move |known| known.furthest > offset);
        let hits = reach.filter(move |known| known.end > offset);
        hits.map(|known| known.rule)
    }
}

impl Index {
    pub(super) fn of(armed: &[Arc<Armed>]) -> Self {
        let mut index = Self::default();
        for (armed, place) in armed.iter().zip(0..) {
            for op in armed.sees() {
                index.0[op as usize].add(armed, place);
            }
        }
        index.0.iter_mut().for_each(OfOp::sort);
        index
    }

    /// Whether any rule may match.
    pub(super) fn has(&self, range: IoRange) -> bool {
        let of_op = &self.0[range.op as usize];
        !of_op.anywhere.is_empty() || of_op.hits(range).next().is_some()
    }

    /// The places of the rules that may match, in order, each once.
    pub(super) fn find(&self, range: IoRange) -> Vec<u32> {
        let of_op = &self.0[range.op as usize];
        let mut found: Vec<u32> = of_op.hits(range).collect();
        if found.is_empty() {
            return of_op.anywhere.clone();
        }
        found.extend(&of_op.anywhere);
        found.sort_unstable();
        found.dedup();
        found
    }
}
