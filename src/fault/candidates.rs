//! A request with the rules that may match it, by when they act and what they do then.

use std::sync::Arc;
use std::time::Duration;

use super::{Armed, Change, Decision, IoRange, Pause, Phase, Then};

/// Rules with what they do, each list in the order in which they were armed.
pub struct Candidates<'a> {
    /// The request that they may match.
    pub(super) range: IoRange,
    /// Those that limit how many pass.
    pub(super) limiting: Vec<&'a Arc<Armed>>,
    /// Those that delay a request.
    pub(super) delaying: Vec<&'a Arc<Armed>>,
    /// Those that hold it, for at most this time, and how it goes on then.
    pub(super) holding: Vec<(&'a Arc<Armed>, Duration, Then)>,
    /// Those that decide what becomes of it; and those whose sectors it heals, without a decision.
    pub(super) deciding: Vec<(&'a Arc<Armed>, Option<Decision>)>,
    /// Those that change its data or its place.
    pub(super) changing: Vec<(&'a Arc<Armed>, Change)>,
}

impl<'a> Candidates<'a> {
    /// Whether one may decide what becomes of the request: only these can fail it after its I/O.
    pub fn may_decide(&self) -> bool {
        !self.deciding.is_empty()
    }

    /// Whether one may have a part of the request served at another place.
    pub(super) fn may_misdirect(&self) -> bool {
        self.changing.iter().any(|(_, change)| change.shift() != 0)
    }

    /// Also those of `armed`, all rules in the order in which they were armed, that have sectors which heal.
    pub(super) fn add_healing(&mut self, armed: &'a [Arc<Armed>]) {
        let mut known = std::mem::take(&mut self.deciding).into_iter().peekable();
        for rule in armed {
            if let Some(own) = known.next_if(|(known, _)| known.id == rule.id) {
                self.deciding.push(own);
            } else if rule.healing.is_some() {
                self.deciding.push((rule, None));
            }
        }
    }

    /// Those of `rules` for a request.
    pub(super) fn of(range: IoRange, rules: impl Iterator<Item = &'a Arc<Armed>>) -> Self {
        let mut candidates = Self {
            range,
            limiting: Vec::new(),
            delaying: Vec::new(),
            holding: Vec::new(),
            deciding: Vec::new(),
            changing: Vec::new(),
        };
        for armed in rules {
            match armed.rule.action.phase() {
                Phase::Wait(Pause::Limit) => candidates.limiting.push(armed),
                Phase::Wait(Pause::Delay) => candidates.delaying.push(armed),
                Phase::Wait(Pause::Hang(max, then)) => candidates.holding.push((armed, max, then)),
                Phase::Decide(decision) => {
                    let decision = armed.rule.ops.contains(range.op).then_some(decision);
                    candidates.deciding.push((armed, decision));
                }
                Phase::Change(change) => candidates.changing.push((armed, change)),
            }
        }
        candidates
    }
}
