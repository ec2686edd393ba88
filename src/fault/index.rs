//! An index of rules by operation and sector: it finds those that may match a request.

use std::sync::Arc;

use super::{Armed, IoRange, Ops, Ranges};

/// The rules by the operations that they are for. There are few such sets, and a range is in one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(Vec<(Ops, OfOps)>);

#[derive(Clone, Debug, Default)]
struct OfOps {
    /// Places in the list of rules.
    anywhere: Vec<u32>,
    ranges: Tree,
    cover: Cover,
}

/// The bytes of all ranges of a tree, as ranges that do not touch each other: first to last, starts and ends apart. Most
/// requests are in none of them, and this takes less memory than the tree to see that.
#[derive(Clone, Debug, Default)]
struct Cover {
    starts: Vec<u64>,
    ends: Vec<u64>,
}

/// Ranges sorted by their start. The middle one is the root of a tree, and the halves beside it are its branches.
#[derive(Clone, Debug, Default)]
struct Tree(Vec<Range>);

/// A range of bytes that a rule is for.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
    /// The largest end in the tree below this range.
    furthest: u64,
    rule: u32,
}

/// A search for the ranges that overlap one.
struct Search<F> {
    start: u64,
    end: u64,
    /// Gets the rule of each.
    found: F,
    /// How many ranges were looked at.
    steps: usize,
}

impl Tree {
    fn sort(&mut self) {
        self.0.sort_unstable_by_key(|range| range.start);
        Self::set_furthest(&mut self.0);
    }

    fn set_furthest(ranges: &mut [Range]) -> u64 {
        let middle = ranges.len() / 2;
        let (before, rest) = ranges.split_at_mut(middle);
        let Some((root, after)) = rest.split_first_mut() else {
            return 0;
        };
        let below = Self::set_furthest(before).max(Self::set_furthest(after));
        root.furthest = root.end.max(below);
        root.furthest
    }
}

impl Cover {
    fn of(tree: &Tree) -> Self {
        let ranges = tree.0.iter().map(|range| (range.start, range.end));
        let (starts, ends) = Ranges::of_bytes(ranges.collect()).iter().unzip();
        Self { starts, ends }
    }

    /// Whether a range of the tree overlaps this one. An empty one between two that touch overlaps both here.
    fn overlaps(&self, range: IoRange) -> bool {
        let before = self.starts.partition_point(|start| *start < range.end());
        let last = before.checked_sub(1).map(|last| self.ends[last]);
        last.is_some_and(|end| end > range.offset)
    }
}

impl<F: FnMut(u32)> Search<F> {
    fn new(range: IoRange, found: F) -> Self {
        Self {
            start: range.offset,
            end: range.end(),
            found,
            steps: 0,
        }
    }

    /// Looks through `ranges`, a tree.
    fn through(&mut self, ranges: &[Range]) {
        let (before, rest) = ranges.split_at(ranges.len() / 2);
        let Some((root, after)) = rest.split_first() else {
            return;
        };
        self.steps += 1;
        if root.furthest <= self.start {
            return;
        }
        self.through(before);
        // All that are after it start even later.
        if root.start >= self.end {
            return;
        }
        if root.end > self.start {
            (self.found)(root.rule);
        }
        self.through(after);
    }
}

impl Index {
    pub(super) fn of(armed: &[Arc<Armed>]) -> Self {
        let mut index = Self::default();
        for (armed, place) in armed.iter().zip(0..) {
            let ops: Vec<_> = armed.sees().collect();
            index.of_ops(Ops::of(&ops)).add(armed, place);
        }
        for (_, rules) in &mut index.0 {
            rules.ranges.sort();
            rules.cover = Cover::of(&rules.ranges);
        }
        index
    }

    fn of_ops(&mut self, ops: Ops) -> &mut OfOps {
        let known = self.0.iter().position(|(known, _)| *known == ops);
        let place = known.unwrap_or_else(|| {
            self.0.push((ops, OfOps::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }

    /// The rules for the operation of `range`.
    fn for_op(&self, range: IoRange) -> impl Iterator<Item = &OfOps> {
        let groups = self.0.iter();
        let groups = groups.filter(move |(ops, _)| ops.contains(range.op));
        groups.map(|(_, rules)| rules)
    }

    /// Whether any rule may match.
    pub(super) fn has(&self, range: IoRange) -> bool {
        self.for_op(range)
            .any(|rules| !rules.anywhere.is_empty() || rules.cover.overlaps(range))
    }

    /// The places of the rules that may match, in order, each once.
    pub(super) fn find(&self, range: IoRange) -> Vec<u32> {
        let mut found = Vec::new();
        for rules in self.for_op(range) {
            found.extend(&rules.anywhere);
            Search::new(range, |rule| found.push(rule)).through(&rules.ranges.0);
        }
        if !found.is_sorted() {
            found.sort_unstable();
        }
        found.dedup();
        found
    }
}

impl OfOps {
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
        self.ranges.0.extend(ranges);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::Op;

    fn tree(ranges: impl Iterator<Item = (u64, u64)>) -> Tree {
        let ranges = ranges.zip(0..).map(|((start, end), rule)| Range {
            start,
            end,
            furthest: 0,
            rule,
        });
        let mut tree = Tree(ranges.collect());
        tree.sort();
        tree
    }

    fn search(tree: &Tree, offset: u64, len: u64) -> (Vec<u32>, usize) {
        let op = Op::Read;
        let mut found = Vec::new();
        let mut search = Search::new(IoRange { op, offset, len }, |rule| found.push(rule));
        search.through(&tree.0);
        let steps = search.steps;
        found.sort_unstable();
        (found, steps)
    }

    #[test]
    fn search_takes_few_steps_whatever_ranges_stand_before_the_place() {
        let small = || (1..=100_000_u64).map(|n| (n * 1024, n * 1024 + 512));
        let (plain, wide) = (
            tree(small()),
            tree([(0, 1 << 40)].into_iter().chain(small())),
        );
        for n in [1, 777, 50_000, 99_999] {
            let (at, beside) = (n * 1024, n * 1024 + 512);
            let (found, steps) = search(&plain, at, 512);
            assert_eq!(found, [n as u32 - 1]);
            assert!(steps <= 80, "{steps}");
            let (found, steps) = search(&plain, beside, 512);
            assert!(found.is_empty());
            assert!(steps <= 80, "{steps}");
            let (found, steps) = search(&wide, at, 512);
            assert_eq!(found, [0, n as u32]);
            assert!(steps <= 80, "{steps}");
            let (found, steps) = search(&wide, beside, 512);
            assert_eq!(found, [0]);
            assert!(steps <= 80, "{steps}");
        }
        assert_eq!(
            search(&wide, 0, 1 << 40).0.len(),
            100_001,
            "and it finds all"
        );
    }

    proptest! {
        #[test]
        fn search_finds_what_a_look_at_each_range_finds(
            ranges in proptest::collection::vec((0_u64..50, 1_u64..20), 0..40),
            offset in 0_u64..60,
            len in 0_u64..20,
        ) {
            let ends = || ranges.iter().map(|(start, len)| (*start, start + len));
            let overlaps = |(start, end): &(u64, u64)| *start < offset + len && *end > offset;
            let naive = ends().zip(0..).filter(|(range, _)| overlaps(range));
            let naive: Vec<u32> = naive.map(|(_, rule)| rule).collect();
            let op = Op::Read;
            let is_covered = Cover::of(&tree(ends())).overlaps(IoRange { op, offset, len });
            let begins = ends().any(|(start, _)| start == offset);
            let ends_here = ends().any(|(_, end)| end == offset);
            let is_between = len == 0 && begins && ends_here;
            prop_assert_eq!(is_covered, !naive.is_empty() || is_between);
            prop_assert_eq!(search(&tree(ends()), offset, len).0, naive);
        }
    }
}
