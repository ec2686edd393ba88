//! What a request has been to rules so far.

use std::collections::HashSet;

use super::Armed;

/// The rules that have counted a request already: it is looked at several times, and counted once.
#[derive(Clone, Debug, Default)]
pub struct RuleHits {
    /// The request is a sector call of a test: rules with `from=guest` pass it by.
    pub of_test: bool,
    considered: HashSet<u64>,
    matched: HashSet<u64>,
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

    /// Whether that was noted.
    pub(super) fn has_matched(&self, armed: &Armed) -> bool {
        self.matched.contains(&armed.id)
    }
}
