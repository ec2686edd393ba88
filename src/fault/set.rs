//! The armed rules of a disk: an immutable list with an index, swapped whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::index::Index;
use super::{Armed, IoRange, Rule};

/// The rules that are armed, in the order in which they were armed.
#[derive(Clone, Debug, Default)]
pub struct FaultSet {
    armed: Vec<Arc<Armed>>,
    index: Index,
    /// There is a rule with `client=`.
    tells_clients_apart: bool,
    /// There is a rule that cuts the power.
    cuts_power: bool,
    ids: HashSet<u64>,
    /// Places by tag.
    tags: HashMap<String, Vec<usize>>,
}

/// An edit that cannot be done: it removes rules by a tag that none has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule has the tag `{0}`, and it is not a mode")]
pub struct NoSuchTag(pub String);

impl FaultSet {
    /// The set of these rules, in this order.
    pub fn of(armed: Vec<Arc<Armed>>) -> Self {
        let mut tags: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, armed) in armed.iter().enumerate() {
            if let Some(tag) = &armed.rule.tag {
                tags.entry(tag.clone()).or_default().push(place);
            }
        }
        Self {
            index: Index::of(&armed),
            tells_clients_apart: armed.iter().any(|armed| armed.rule.client.is_some()),
            cuts_power: armed.iter().any(|armed| armed.rule.cuts_power()),
            ids: armed.iter().map(|armed| armed.id).collect(),
            tags,
            armed,
        }
    }

    /// A copy whose rules count on their own, and are armed that much later.
    #[must_use]
    pub fn later(&self, by: Duration) -> Self {
        let copies = self.armed.iter().map(|armed| Arc::new(armed.later(by)));
        Self::of(copies.collect())
    }

    /// Whether the rule with this id is armed.
    pub fn has(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }

    /// Whether a rule has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.contains_key(tag)
    }

    /// The armed rules, oldest first.
    pub fn armed(&self) -> &[Arc<Armed>] {
        &self.armed
    }

    /// The rules themselves, oldest first.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.armed.iter().map(|armed| &armed.rule)
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Whether a rule is for the requests of some clients alone.
    pub fn tells_clients_apart(&self) -> bool {
        self.tells_clients_apart
    }

    /// Whether a rule may cut the power.
    pub fn cuts_power(&self) -> bool {
        self.cuts_power
    }

    /// Whether a rule may match such a request. Most requests have none, and need no clock.
    pub fn concerns(&self, range: IoRange) -> bool {
        self.index.has(range)
    }

    /// Whether the rule waits for no tag, or for one that a rule has that has fired.
    pub(super) fn is_awake(&self, armed: &Armed) -> bool {
        let Some(tag) = &armed.rule.when else {
            return true;
        };
        let mut tagged = self.tags.get(tag).into_iter().flatten();
        armed.is_woken() || tagged.any(|place| self.armed[*place].fired() > 0)
    }

    /// The rules that may match, in the order in which they were armed.
    pub(super) fn matching(&self, range: IoRange) -> impl Iterator<Item = &Arc<Armed>> {
        let found = self.index.find(range).into_iter();
        found.map(|place| &self.armed[place as usize])
    }
}
