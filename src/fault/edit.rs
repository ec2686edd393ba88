//! Edits to a set. The cost of an edit does not depend on the number of rules.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Armed, Arming, Edit, FaultSet, NoSuchTag, Rule};

/// A rule that is found by what it does.
struct ByRule(Arc<Armed>);

impl PartialEq for ByRule {
    fn eq(&self, other: &Self) -> bool {
        self.0.rule == other.0.rule
    }
}
impl Eq for ByRule {}
impl Hash for ByRule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.rule.hash(state);
    }
}
impl Borrow<Rule> for ByRule {
    fn borrow(&self) -> &Rule {
        &self.0.rule
    }
}

/// A set that is being edited.
struct Editing {
    /// In the order armed; None where one was removed.
    armed: Vec<Option<Arc<Armed>>>,
    /// Places by rule.
    places: HashMap<ByRule, usize>,
    /// Places by tag, those of removed rules included.
    tagged: HashMap<String, Vec<usize>>,
    removed: Vec<Arc<Armed>>,
}

impl Editing {
    fn of(set: &FaultSet) -> Self {
        let mut editing = Self {
            armed: Vec::with_capacity(set.armed().len()),
            places: HashMap::with_capacity(set.armed().len()),
            tagged: HashMap::new(),
            removed: Vec::new(),
        };
        for armed in set.armed() {
            editing.push(Arc::clone(armed));
        }
        editing
    }

    fn push(&mut self, armed: Arc<Armed>) {
        let place = self.armed.len();
        if let Some(tag) = &armed.rule.tag {
            self.tagged.entry(tag.clone()).or_default().push(place);
        }
        self.places.insert(ByRule(Arc::clone(&armed)), place);
        self.armed.push(Some(armed));
    }

    fn add(&mut self, rule: &Rule, id: u64, arming: Arming) {
        let new = Armed::new(id, rule.clone(), arming);
        let Some(place) = self.places.get(rule).copied() else {
            return self.push(Arc::new(new));
        };
        let old = self.armed[place].as_ref();
        let again = Arc::new(new.in_place_of(old.map_or(0, |old| old.times_armed)));
        self.places.remove(rule);
        self.places.insert(ByRule(Arc::clone(&again)), place);
        self.armed[place] = Some(again);
    }

    fn remove(&mut self, place: usize) -> bool {
        let Some(armed) = self.armed[place].take() else {
            return false;
        };
        self.places.remove(&armed.rule);
        self.removed.push(armed);
        true
    }

    fn remove_tag(&mut self, tag: &str) -> Result<(), NoSuchTag> {
        let places = self.tagged.remove(tag).unwrap_or_default();
        let removed = places
            .into_iter()
            .filter(|place| self.remove(*place))
            .count();
        match removed {
            0 => Err(NoSuchTag(tag.to_owned())),
            _ => Ok(()),
        }
    }

    fn done(self) -> FaultSet {
        let set = FaultSet::of(self.armed.into_iter().flatten().collect());
        // The wait of `when=` is over, even if the rule that fired is removed.
        let gone = self.removed.iter().filter(|armed| armed.fired() > 0);
        let gone: HashSet<_> = gone.filter_map(|armed| armed.rule.tag.as_deref()).collect();
        if !gone.is_empty() {
            let waits = |armed: &&Arc<Armed>| {
                let tag = armed.rule.when.as_deref();
                tag.is_some_and(|tag| gone.contains(tag))
            };
            set.armed()
                .iter()
                .filter(waits)
                .for_each(|armed| armed.wake());
        }
        set
    }
}

impl FaultSet {
    /// The set after `edits`, in order. A rule that is armed already keeps its place; its time and its
    /// counters start again.
    pub fn edited(&self, edits: &[Edit], arming: Arming) -> Result<Self, NoSuchTag> {
        let mut editing = Editing::of(self);
        for (edit, id) in edits.iter().zip(arming.first_id..) {
            match edit {
                Edit::Add(rule) => editing.add(rule, id, arming),
                Edit::Remove(rule) => {
                    if let Some(place) = editing.places.get(rule).copied() {
                        editing.remove(place);
                    }
                }
                Edit::RemoveTag(tag) => editing.remove_tag(tag)?,
            }
        }
        Ok(editing.done())
    }
}
