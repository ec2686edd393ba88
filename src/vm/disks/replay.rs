//! Recorded faults in the place of rules: what a test arms stands for what fired in its recording.

use std::collections::BTreeMap;

use crate::client::{ClientError, DiskControl};
use crate::fault::{Armed, Arming, Edit, FaultSet, Replayed, Rule, parse_rule};

/// The rules of a recording, by their numbers among the edits of the disk's rules, from 0.
pub type Recorded = BTreeMap<u64, Replayed>;

/// Says which recorded faults a new disk of this name meets.
pub type ReplayOf = Box<dyn Fn(&str) -> Option<Recorded>>;

/// Edits that are sent at once: less than a write may have.
const AT_ONCE: usize = 200;

/// The rules of a disk during a replay.
#[derive(Debug)]
pub(in crate::vm) struct Replay {
    recorded: Recorded,
    /// How many edits there were.
    edits: u64,
    /// The rules that the test has armed.
    believed: FaultSet,
    /// These, with what was armed in the place of each.
    in_place: Vec<(Rule, Vec<Rule>)>,
}

impl Replay {
    pub(in crate::vm) fn new(recorded: Recorded) -> Self {
        Self {
            recorded,
            edits: 0,
            believed: FaultSet::default(),
            in_place: Vec::new(),
        }
    }

    /// The rules that the test has armed.
    pub(in crate::vm) fn rules(&self) -> Vec<Rule> {
        self.believed.rules().cloned().collect()
    }

    /// Carries out what stands for `edits`.
    pub(in crate::vm) fn edit(
        &mut self,
        control: &DiskControl,
        edits: &[Edit],
    ) -> Result<(), ClientError> {
        let mut in_place = Vec::new();
        for edit in edits {
            in_place.extend(self.in_place_of(edit));
            self.edits += 1;
        }
        for part in in_place.chunks(AT_ONCE) {
            control.edit_faults(part)?;
        }
        Ok(())
    }

    /// All rules are removed.
    pub(in crate::vm) fn clear(&mut self) {
        self.believed = FaultSet::default();
        self.in_place.clear();
    }

    fn in_place_of(&mut self, edit: &Edit) -> Vec<Edit> {
        if let Ok(edited) = self
            .believed
            .edited(std::slice::from_ref(edit), Arming::default())
        {
            self.believed = edited;
        }
        match edit {
            Edit::Add(rule) => {
                let mut edits = self.remove(|other| other == rule);
                let faults = self.faults_of(rule);
                edits.extend(faults.iter().cloned().map(Edit::Add));
                self.in_place.push((rule.clone(), faults));
                edits
            }
            Edit::Remove(rule) => self.remove(|other| other == rule),
            Edit::RemoveTag(tag) => self.remove(|other| other.tag.as_ref() == Some(tag)),
        }
    }

    fn remove(&mut self, is_meant: impl Fn(&Rule) -> bool) -> Vec<Edit> {
        let removed = self.in_place.extract_if(.., |(rule, _)| is_meant(rule));
        let faults = removed.flat_map(|(_, faults)| faults);
        faults.map(Edit::Remove).collect()
    }

    /// The faults of the rule that is armed now: none if the recording has another one in its place.
    fn faults_of(&self, rule: &Rule) -> Vec<Rule> {
        let armed = self
            .believed
            .armed()
            .iter()
            .filter(|armed| armed.rule == *rule);
        let armed: Vec<_> = armed.cloned().collect();
        let text = Armed::texts(&armed);
        let recorded = self.recorded.get(&self.edits);
        let faults = recorded
            .filter(|recorded| recorded.rule == text)
            .map(|recorded| &recorded.faults);
        let parsed = faults
            .into_iter()
            .flatten()
            .filter_map(|text| parse_rule(text, 1).ok());
        parsed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        parse_rule(text, 1).unwrap()
    }

    fn replay() -> Replay {
        let replayed = Replayed {
            rule: "error op=read errno=EIO p=0.5".into(),
            faults: vec!["error op=read errno=EIO at=8+1 skip=2 times=1".into()],
        };
        Replay::new([(1, replayed)].into())
    }

    fn texts(replay: &mut Replay, edits: &[Edit]) -> Vec<String> {
        let mut texts = Vec::new();
        for edit in edits {
            texts.extend(replay.in_place_of(edit).iter().map(Edit::to_string));
            replay.edits += 1;
        }
        texts
    }

    #[test]
    fn replay_arms_the_faults_of_a_rule_in_its_place_and_removes_them_with_it() {
        let mut replay = replay();
        let (slow, error) = (rule("slow"), rule("error op=read p=0.5"));
        let add = [Edit::Add(slow), Edit::Add(error.clone())];
        assert_eq!(
            texts(&mut replay, &add),
            ["error op=read errno=EIO at=8+1 skip=2 times=1"]
        );
        assert_eq!(replay.rules().len(), 2, "the test finds what it has armed");
        let removed = texts(&mut replay, &[Edit::Remove(error)]);
        assert_eq!(removed, ["!error op=read errno=EIO at=8+1 skip=2 times=1"]);
        assert_eq!(replay.rules(), [rule("slow")]);
    }

    #[test]
    fn replay_arms_nothing_for_another_rule_than_the_recorded_one() {
        let mut replay = replay();
        let other = Edit::Add(rule("error op=read p=0.4"));
        assert!(texts(&mut replay, &[Edit::Add(rule("slow")), other]).is_empty());
    }
}
