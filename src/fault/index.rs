//! Which rules may match a request: found without looking at those of other sectors.

use std::sync::Arc;

use super::{Armed, IoRange, Op};

/// By kind of request, the rules for anywhere and those for ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Index([OfOp; Op::ALL.len()]);

#[derive(Clone, Debug, Default)]
struct OfOp {
    /// Places in the list of rules.
    anywhere: Vec<u32>,
    /// Sorted by where they start.
    ranges: Vec<Range>,
}

/// A range of bytes that a rule is for.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
    /// The furthest end of this and all before it: nothing before a small one reaches further.
    furthest: u64,
    rule: u32,
}

impl OfOp {
    /// The rules with a range that overlaps, one entry a range.
    fn hits(&self, ask: IoRange) -> impl Iterator<Item = u32> {
        let end = ask.offset.saturating_add(ask.len);
        let behind = self.ranges.partition_point(|range| range.start < end);
        let before = self.ranges[..behind].iter().rev();
        let reach = before.take_while(move |range| range.furthest > ask.offset);
        let hits = reach.filter(move |range| range.end > ask.offset);
        hits.map(|range| range.rule)
    }
}

impl Index {
    pub(super) fn of(armed: &[Arc<Armed>]) -> Self {
        let mut index = Self::default();
        for (at, armed) in armed.iter().enumerate() {
            let rule = at as u32;
            for op in Op::ALL
                .into_iter()
                .filter(|op| armed.rule.ops.contains(*op))
            {
                let of_op = &mut index.0[op as usize];
                if armed.rule.at.is_empty() {
                    of_op.anywhere.push(rule);
                    continue;
                }
                of_op
                    .ranges
                    .extend(armed.ranges.iter().map(|(start, end)| Range {
                        start,
                        end,
                        furthest: end,
                        rule,
                    }));
            }
        }
        for of_op in &mut index.0 {
            of_op.ranges.sort_by_key(|range| range.start);
            let mut furthest = 0;
            for range in &mut of_op.ranges {
                furthest = furthest.max(range.end);
                range.furthest = furthest;
            }
        }
        index
    }

    /// Whether there is a rule that may match.
    pub(super) fn has(&self, ask: IoRange) -> bool {
        let of_op = &self.0[ask.op as usize];
        !of_op.anywhere.is_empty() || of_op.hits(ask).next().is_some()
    }

    /// The places of the rules that may match, in order, each once.
    pub(super) fn find(&self, ask: IoRange) -> Vec<u32> {
        let of_op = &self.0[ask.op as usize];
        let mut found: Vec<u32> = of_op.hits(ask).collect();
        if found.is_empty() {
            return of_op.anywhere.clone();
        }
        found.extend(&of_op.anywhere);
        found.sort_unstable();
        found.dedup();
        found
    }
}
