//! The rules that may match a request, by when they act and what they do then.

use std::sync::Arc;
use std::time::Duration;

use super::{Armed, Change, Decision, Pause, Phase, Then};

/// Rules with what they do, each list in the order in which they were armed.
#[derive(Default)]
pub(super) struct Candidates<'a> {
    /// Those that delay a request.
    pub(super) delaying: Vec<&'a Arc<Armed>>,
    /// Those that hold it, for at most this time, and how it goes on then.
    pub(super) holding: Vec<(&'a Arc<Armed>, Duration, Then)>,
    /// Those that decide what becomes of it.
    pub(super) deciding: Vec<(&'a Arc<Armed>, Decision)>,
    /// Those that change its data or its place.
    pub(super) changing: Vec<(&'a Arc<Armed>, Change)>,
}

impl<'a> FromIterator<&'a Arc<Armed>> for Candidates<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Arc<Armed>>>(rules: I) -> Self {
        let mut candidates = Self::default();
        for armed in rules {
            match armed.rule.action.phase() {
                Phase::Wait(Pause::Delay) => candidates.delaying.push(armed),
                Phase::Wait(Pause::Hang(max, then)) => candidates.holding.push((armed, max, then)),
                Phase::Decide(decision) => candidates.deciding.push((armed, decision)),
                Phase::Change(change) => candidates.changing.push((armed, change)),
            }
        }
        candidates
    }
}
