//! What a request has been to rules so far.

use super::at_limit::AtLimit;
use super::{Armed, Client, Firing, Stage};

/// The rules that have counted a request already: it is looked at several times, and counted once.
#[derive(Clone, Debug, Default)]
pub struct RuleHits {
    /// Whose request it is.
    pub client: Client,
    /// What happened to it since this was taken out; None where nobody records it.
    pub record: Option<Record>,
    /// The limits that it has come to.
    pub(super) limits: Vec<AtLimit>,
    considered: Ids,
    matched: Ids,
}

/// IDs of rules, sorted. Most requests meet few, in the order of their IDs.
#[derive(Clone, Debug, Default)]
struct Ids(Vec<u64>);

impl Ids {
    /// Adds an ID. Returns whether it is new.
    fn insert(&mut self, id: u64) -> bool {
        let place = self.0.binary_search(&id);
        if let Err(place) = place {
            self.0.insert(place, id);
        }
        place.is_err()
    }

    fn contains(&self, id: u64) -> bool {
        self.0.binary_search(&id).is_ok()
    }
}

/// What happened to a request in a look at the fault set.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The stages at which rules were asked about it.
    pub stages: Vec<Stage>,
    /// The rules that acted, in order.
    pub firings: Vec<Firing>,
}

impl RuleHits {
    /// Has the rule consider the request, once.
    pub(super) fn consider(&mut self, armed: &Armed) {
        if self.considered.insert(armed.id) {
            armed.consider();
        }
    }

    /// Notes that the request matched the rule, or need not be asked about it any more.
    pub(super) fn note_match(&mut self, armed: &Armed) {
        self.matched.insert(armed.id);
    }

    /// Notes that rules are asked about the request at `stage`.
    pub(super) fn enter(&mut self, stage: Stage) {
        if let Some(record) = &mut self.record {
            record.stages.push(stage);
        }
    }

    /// Notes that a rule acts on the request.
    pub(super) fn acted(&mut self, firing: impl FnOnce() -> Firing) {
        if let Some(record) = &mut self.record {
            record.firings.push(firing());
        }
    }

    /// The request has one of the lanes of the rule with this ID.
    pub fn take_lane(&mut self, id: u64) {
        let mut limits = self.limits.iter_mut();
        if let Some(at) = limits.find(|at| at.rule.id == id) {
            at.has_lane = true;
        }
    }

    /// The request is over. What it would have taken of a limit that it has not passed is free.
    pub fn leave_limits(&mut self) {
        self.limits.drain(..).for_each(|at| at.leave());
    }

    /// Whether a match with the rule was noted.
    pub(super) fn has_matched(&self, armed: &Armed) -> bool {
        self.matched.contains(armed.id)
    }
}
