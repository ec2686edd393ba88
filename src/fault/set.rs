//! The armed rules of a disk: an immutable list, swapped whole.

use std::time::Duration;

use super::{Action, Edit, Errno, Op, Rule};

/// The rules that are armed, in the order in which they were armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultSet {
    rules: Vec<Rule>,
}

/// What the set wants done to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How long it waits: the sum of all delays that match.
    pub delay: Duration,
    /// How it fails afterwards, if it does.
    pub error: Option<Errno>,
}

impl FaultSet {
    /// The armed rules, oldest first.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The set after `edits`, in order. Arming what is armed already keeps its place.
    #[must_use]
    pub fn edited(&self, edits: &[Edit]) -> Self {
        let mut rules = self.rules.clone();
        for edit in edits {
            match edit {
                Edit::Add(rule) if rules.contains(rule) => {}
                Edit::Add(rule) => rules.push(rule.clone()),
                Edit::Remove(rule) => rules.retain(|armed| armed != rule),
            }
        }
        Self { rules }
    }

    /// What happens to a request of kind `op`: delays add up, the first error decides.
    pub fn decide(&self, op: Op) -> Verdict {
        let mut verdict = Verdict::default();
        for rule in self.rules.iter().filter(|rule| rule.ops.contains(op)) {
            match rule.action {
                Action::Delay(by) => verdict.delay += by,
                Action::Error(errno) => verdict.error = verdict.error.or(Some(errno)),
            }
        }
        verdict
    }

    /// The rules that delay a request of kind `op`, as text; for people who ask what it waits for.
    pub fn delaying(&self, op: Op) -> String {
        let delays =
            |rule: &&Rule| rule.ops.contains(op) && matches!(rule.action, Action::Delay(_));
        let texts: Vec<_> = self
            .rules
            .iter()
            .filter(delays)
            .map(Rule::to_string)
            .collect();
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Mode;

    fn set(modes: &[Mode]) -> FaultSet {
        let edits: Vec<_> = modes.iter().map(|mode| Edit::Add(mode.rule())).collect();
        FaultSet::default().edited(&edits)
    }

    #[test]
    fn an_empty_set_lets_every_kind_of_request_through() {
        for op in Op::ALL {
            assert_eq!(set(&[]).decide(op), Verdict::default());
        }
    }

    #[test]
    fn eio_write_fails_writes_and_write_zeroes_and_nothing_else() {
        let failing = Op::ALL.map(|op| set(&[Mode::EioWrite]).decide(op).error.is_some());
        assert_eq!(failing, [false, true, false, false, true]);
    }

    #[test]
    fn eio_read_fails_reads_and_nothing_else() {
        let failing = Op::ALL.map(|op| set(&[Mode::EioRead]).decide(op).error.is_some());
        assert_eq!(failing, [true, false, false, false, false]);
    }

    #[test]
    fn slow_and_an_error_compose() {
        let verdict = set(&[Mode::EioRead, Mode::Slow]).decide(Op::Read);
        assert_eq!(verdict.delay, Duration::from_millis(50));
        assert_eq!(verdict.error, Some(Errno::EIO));
    }

    #[test]
    fn slow_leaves_flush_and_discard_alone() {
        let set = set(&[Mode::Slow]);
        assert_eq!(set.decide(Op::Flush), Verdict::default());
        assert_eq!(set.decide(Op::Discard), Verdict::default());
    }

    #[test]
    fn arming_twice_keeps_one_and_its_place() {
        let twice = set(&[Mode::Slow, Mode::EioRead, Mode::Slow]);
        assert_eq!(twice, set(&[Mode::Slow, Mode::EioRead]));
    }

    #[test]
    fn removing_takes_away_that_rule_alone() {
        let left = set(&[Mode::Slow, Mode::EioRead]).edited(&[Edit::Remove(Mode::Slow.rule())]);
        assert_eq!(left, set(&[Mode::EioRead]));
    }
}
