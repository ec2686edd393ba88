//! From recorded decisions to the rules that make the same faults again.

use std::collections::{BTreeMap, HashSet};

use super::{Decision, Rule, Sectors, Stage, parse_rule};
use crate::protocol::DecisionLine;

/// A rule of a recording, and the rules that are armed in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The rule, as a trace shows it.
    pub rule: String,
    /// Those that make its faults again.
    pub faults: Vec<String>,
}

/// A decision with the rule that makes it again.
struct Fault<'a> {
    line: &'a DecisionLine<'a>,
    replay: Rule,
}

impl<'a> Fault<'a> {
    /// None for a decision that cannot be made again.
    fn of(line: &'a DecisionLine<'a>) -> Option<Self> {
        let replay = parse_rule(line.replay.as_deref()?, 1).ok()?;
        Some(Self { line, replay })
    }

    fn stage(&self) -> Stage {
        self.replay.action.phase().stage()
    }

    /// Whether both are faults of one request, and act one after the other.
    fn is_beside(&self, other: &Self) -> bool {
        let request = |line: &DecisionLine<'_>| (line.time, line.op, line.sector, line.count);
        (self.stage() != Stage::Decide || self.loses_a_part())
            && self.stage() == other.stage()
            && request(self.line) == request(other.line)
    }

    /// Whether the rule of this fault counts the request of `other`, where that comes to its stage.
    fn counts(&self, other: &DecisionLine<'_>) -> bool {
        let is_after = other.sequence > self.line.since && other.sequence < self.line.sequence;
        let (start, count) = (other.sector, other.count);
        let at = &self.replay.at;
        let end = start.saturating_add(count);
        let touches = |at: Sectors| start < at.start.saturating_add(at.count) && at.start < end;
        let overlaps = at.is_empty() || at.iter().filter_map(|at| at.fixed()).any(touches);
        is_after && other.op == self.line.op && overlaps
    }

    /// Whether it loses a part of its request, so that the rest is decided by others.
    fn loses_a_part(&self) -> bool {
        let lost: u64 = self.replay.at.iter().map(|at| at.count).sum();
        let decision = self.replay.action.phase().decision();
        decision == Some(Decision::Lose) && lost < self.line.count
    }

    /// The decision that it makes, before the I/O.
    fn decides(&self) -> Option<Decision> {
        let decision = self.replay.action.phase().decision();
        decision.filter(|_| !self.loses_a_part())
    }

    /// How many requests it passes over, if of the faults of the recording only the `chosen` ones are made, each by a
    /// rule in the place of its own.
    fn skip(&self, others: &[(Fault<'_>, bool)]) -> u64 {
        let mut skip = self.replay.skip;
        for (other, is_chosen) in others {
            let Some(decision) = other.decides().filter(|_| self.counts(other.line)) else {
                continue;
            };
            match (self.stage(), is_chosen) {
                // The rule before it decides, and it is not asked.
                (Stage::Decide, true) if other.line.rule_id < self.line.rule_id => {
                    skip = skip.saturating_sub(1)
                }
                // Now the request is served.
                (Stage::Change, false) if decision.leaves_undone() => skip += 1,
                (Stage::Delay | Stage::Hang | Stage::Decide | Stage::Change, _) => {}
            }
        }
        skip
    }
}

/// The rules that make `decisions` again, armed all at once: the latest first, since a rule is not asked about a
/// request that an earlier one decides. Decisions that cannot be made again are left out.
pub fn replay_at_once(decisions: &[DecisionLine<'_>]) -> Vec<String> {
    let faults = decisions.iter().filter_map(Fault::of).collect();
    in_order(faults)
        .iter()
        .map(|fault| fault.replay.to_string())
        .collect()
}

/// The latest first; but what happens to one request in its order.
fn in_order(faults: Vec<Fault<'_>>) -> Vec<Fault<'_>> {
    let mut requests: Vec<Vec<Fault<'_>>> = Vec::new();
    for fault in faults {
        match requests.last_mut() {
            Some(request) if request.last().is_some_and(|last| last.is_beside(&fault)) => {
                request.push(fault)
            }
            _ => requests.push(vec![fault]),
        }
    }
    requests.into_iter().rev().flatten().collect()
}

/// The rules that make those of `decisions` again that are `chosen`, each armed in the place of the rule that has
/// acted; by its number among the edits of the disk's rules. A rule of which none is chosen has no others in its place.
pub fn replay_in_place(
    decisions: &[DecisionLine<'_>],
    chosen: impl Fn(usize) -> bool,
) -> BTreeMap<u64, Replayed> {
    let mut replayed: BTreeMap<u64, Replayed> = BTreeMap::new();
    for line in decisions {
        let of_rule = replayed.entry(line.rule_id).or_default();
        of_rule.rule = line.rule.clone().into_owned();
    }
    let faults = decisions.iter().enumerate();
    let faults = faults.filter_map(|(at, line)| Some((Fault::of(line)?, chosen(at))));
    let faults: Vec<_> = faults.collect();
    let moved = faults
        .iter()
        .filter(|(_, is_chosen)| *is_chosen)
        .map(|(fault, _)| Fault {
            line: fault.line,
            replay: fault.replay.clone().passing_over(fault.skip(&faults)),
        });
    let mut armed = HashSet::new();
    for fault in in_order(moved.collect()) {
        if let Some(of_rule) = replayed.get_mut(&fault.line.rule_id) {
            let replay = fault.replay.unlike(|rule| armed.contains(rule));
            of_rule.faults.push(replay.to_string());
            armed.insert(replay);
        }
    }
    replayed
}
