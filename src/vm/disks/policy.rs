//! The policy of a disk: faults for the requests of its guest alone, which verbs set one by one. It is armed as
//! rules with `client=guest`, and read back from them, so that it lives with the disk.

use std::time::Duration;

use crate::fault::{Action, Client, DelayTime, Edit, Op, Ops, Rule, Sectors};
use crate::protocol::Errno;

/// The faults that the requests of a guest meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Reads fail.
    pub fail_reads: bool,
    /// Writes and write zeroes fail.
    pub fail_writes: bool,
    /// The request with this number, from 1, fails, and all later ones do; flushes count.
    pub fail_after: Option<u64>,
    /// Reads and writes that touch these sectors fail.
    pub fail_range: Option<Sectors>,
    /// Every request waits for this many milliseconds.
    pub delay_ms: Option<u64>,
}

impl Policy {
    /// The policy that `rules` make; those that no verb arms say nothing.
    pub(in crate::vm) fn of(rules: &[Rule]) -> Self {
        let mut policy = Self::default();
        for rule in rules {
            let from_first = Rule {
                skip: 0,
                ..rule.clone()
            };
            if *rule == failing(&[Op::Read]) {
                policy.fail_reads = true;
            } else if *rule == failing(&WRITES) {
                policy.fail_writes = true;
            } else if from_first == failing_after(1) {
                policy.fail_after = Some(rule.skip.saturating_add(1));
            } else if let &[at] = rule.at.as_slice()
                && let Some(at) = at.fixed()
                && *rule == failing_at(at)
            {
                policy.fail_range = Some(at);
            } else if let Action::Delay(by) = &rule.action
                && let Some(by) = by.always()
                && *rule == delay(by.as_millis() as u64)
            {
                policy.delay_ms = Some(by.as_millis() as u64);
            }
        }
        policy
    }

    /// The rules that make it. The count comes first: a request that another rule decides before it would not
    /// be counted.
    fn rules(&self) -> impl Iterator<Item = Rule> {
        let all = [
            self.delay_ms.map(delay),
            self.fail_after.map(failing_after),
            self.fail_reads.then(|| failing(&[Op::Read])),
            self.fail_writes.then(|| failing(&WRITES)),
            self.fail_range.map(failing_at),
        ];
        all.into_iter().flatten()
    }

    /// The edits that turn `old` into this policy. The count begins anew. A delay that stays the same stays armed, so
    /// that requests go on waiting for it.
    pub(in crate::vm) fn edits_from(&self, old: &Self) -> Vec<Edit> {
        let stays =
            |rule: &Rule| matches!(rule.action, Action::Delay(..)) && self.delay_ms == old.delay_ms;
        let removed = old.rules().filter(|rule| !stays(rule)).map(Edit::Remove);
        let added = self.rules().filter(|rule| !stays(rule)).map(Edit::Add);
        removed.chain(added).collect()
    }
}

const WRITES: [Op; 2] = [Op::Write, Op::Zero];

fn for_guest(action: Action, ops: &[Op]) -> Rule {
    Rule {
        ops: Ops::of(ops),
        client: Some(Client::Guest),
        ..Rule::new(action)
    }
}

fn failing(ops: &[Op]) -> Rule {
    for_guest(Action::Error(Errno::EIO), ops)
}

fn failing_after(n: u64) -> Rule {
    Rule {
        skip: n.saturating_sub(1),
        ..failing(&Op::ALL)
    }
}

fn failing_at(at: Sectors) -> Rule {
    Rule {
        at: vec![at.into()],
        ..failing(&[Op::Read, Op::Write, Op::Zero])
    }
}

fn delay(ms: u64) -> Rule {
    let by = Duration::from_millis(ms);
    for_guest(Action::Delay(DelayTime::fixed(by)), &Op::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Arming, FaultSet, parse_rule};

    fn full() -> Policy {
        Policy {
            fail_reads: true,
            fail_writes: true,
            fail_after: Some(3),
            fail_range: Some(Sectors { start: 8, count: 2 }),
            delay_ms: Some(20),
        }
    }

    fn armed(set: &FaultSet) -> Vec<String> {
        set.rules().map(Rule::to_string).collect()
    }

    fn set(edits: &[Edit], on: &FaultSet) -> FaultSet {
        on.edited(edits, Arming::default()).unwrap()
    }

    #[test]
    fn policy_is_armed_as_rules_and_read_back_from_them() {
        let set = set(&full().edits_from(&Policy::default()), &FaultSet::default());
        let expected = [
            "delay op=all by=20ms client=guest",
            "error op=all errno=EIO client=guest skip=2",
            "eio_read client=guest",
            "eio_write client=guest",
            "error op=read,write,zero errno=EIO at=8+2 client=guest",
        ];
        let texts = armed(&set);
        let parsed = |text: &str| parse_rule(text, 1).unwrap();
        let rules: Vec<_> = set.rules().cloned().collect();
        assert_eq!(rules, expected.map(parsed), "{texts:?}");
        assert_eq!(Policy::of(&rules), full());
        assert_eq!(
            Policy::of(&[parsed("eio_read"), parsed("stale client=guest")]),
            Policy::default()
        );
    }

    #[test]
    fn policy_value_replaces_the_old_one_and_leaves_a_delay_that_stays_alone() {
        let old = full();
        let new = Policy {
            fail_range: Some(Sectors { start: 1, count: 1 }),
            ..full()
        };
        let edits = new.edits_from(&old);
        let of_delay = |edit: &&Edit| {
            let (Edit::Add(rule) | Edit::Remove(rule)) = edit else {
                return false;
            };
            matches!(rule.action, Action::Delay(..))
        };
        assert_eq!(edits.iter().filter(of_delay).count(), 0);
        let before = set(&old.edits_from(&Policy::default()), &FaultSet::default());
        let after: Vec<_> = set(&edits, &before).rules().cloned().collect();
        assert_eq!(Policy::of(&after), new);
        assert_eq!(after.len(), 5);
        let slower = Policy {
            delay_ms: Some(0),
            ..new.clone()
        };
        assert_eq!(slower.edits_from(&new).iter().filter(of_delay).count(), 2);
    }

    #[test]
    fn policy_change_begins_the_count_anew() {
        let count = Policy {
            fail_after: Some(2),
            ..Policy::default()
        };
        let reads = Policy {
            fail_reads: true,
            ..count.clone()
        };
        let edits = reads.edits_from(&count);
        assert!(edits.contains(&Edit::Remove(failing_after(2))));
        assert!(edits.contains(&Edit::Add(failing_after(2))));
    }
}
