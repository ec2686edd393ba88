//! The armed rules of a disk: an immutable list, swapped whole.

use std::time::Duration;

use super::{Action, Edit, Errno, Op, Rule};

/// The rules that are armed, in the order in which they were armed.
///
/// Times are counted from a moment of the caller's choice, the same for all calls.
#[derive(Clone, Debug, Default)]
pub struct FaultSet {
    armed: Vec<Armed>,
}

#[derive(Clone, Debug)]
struct Armed {
    rule: Rule,
    since: Duration,
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
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.armed.iter().map(|armed| &armed.rule)
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// The set after `edits`, in order, made at `now`. Arming what is armed already keeps its
    /// place; its time begins anew.
    #[must_use]
    pub fn edited(&self, edits: &[Edit], now: Duration) -> Self {
        let mut armed = self.armed.clone();
        for edit in edits {
            match edit {
                Edit::Add(rule) => match armed.iter_mut().find(|armed| armed.rule == *rule) {
                    Some(again) => again.since = now,
                    None => armed.push(Armed {
                        rule: rule.clone(),
                        since: now,
                    }),
                },
                Edit::Remove(rule) => armed.retain(|armed| armed.rule != *rule),
            }
        }
        Self { armed }
    }

    /// What happens at `now` to a request of kind `op`: delays add up, the first error decides.
    pub fn decide(&self, op: Op, now: Duration) -> Verdict {
        let mut verdict = Verdict::default();
        for rule in self.acting(op, now) {
            match rule.action {
                Action::Delay(by) => verdict.delay += by,
                Action::Error(errno) => verdict.error = verdict.error.or(Some(errno)),
            }
        }
        verdict
    }

    /// The rules that delay a request of kind `op` at `now`, as text; for people who ask what it
    /// waits for.
    pub fn delaying(&self, op: Op, now: Duration) -> String {
        let delays = |rule: &&Rule| matches!(rule.action, Action::Delay(_));
        let texts: Vec<_> = self
            .acting(op, now)
            .filter(delays)
            .map(Rule::to_string)
            .collect();
        texts.join("; ")
    }

    fn acting(&self, op: Op, now: Duration) -> impl Iterator<Item = &Rule> {
        let acts = move |armed: &&Armed| {
            armed.rule.ops.contains(op) && now.saturating_sub(armed.since) >= armed.rule.after
        };
        self.armed.iter().filter(acts).map(|armed| &armed.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Mode;

    const NOW: Duration = Duration::from_secs(100);

    /// What `set` wants done to a request now.
    fn decide(set: &FaultSet, op: Op) -> Verdict {
        set.decide(op, NOW)
    }

    fn names(set: &FaultSet) -> Vec<String> {
        set.rules().map(Rule::to_string).collect()
    }

    fn set(modes: &[Mode]) -> FaultSet {
        let edits: Vec<_> = modes.iter().map(|mode| Edit::Add(mode.rule())).collect();
        FaultSet::default().edited(&edits, NOW)
    }

    #[test]
    fn an_empty_set_lets_every_kind_of_request_through() {
        for op in Op::ALL {
            assert_eq!(decide(&set(&[]), op), Verdict::default());
        }
    }

    #[test]
    fn eio_write_fails_writes_and_write_zeroes_and_nothing_else() {
        let failing = Op::ALL.map(|op| decide(&set(&[Mode::EioWrite]), op).error.is_some());
        assert_eq!(failing, [false, true, false, false, true]);
    }

    #[test]
    fn eio_read_fails_reads_and_nothing_else() {
        let failing = Op::ALL.map(|op| decide(&set(&[Mode::EioRead]), op).error.is_some());
        assert_eq!(failing, [true, false, false, false, false]);
    }

    #[test]
    fn slow_and_an_error_compose() {
        let verdict = decide(&set(&[Mode::EioRead, Mode::Slow]), Op::Read);
        assert_eq!(verdict.delay, Duration::from_millis(50));
        assert_eq!(verdict.error, Some(Errno::EIO));
    }

    #[test]
    fn slow_leaves_flush_and_discard_alone() {
        let set = set(&[Mode::Slow]);
        assert_eq!(decide(&set, Op::Flush), Verdict::default());
        assert_eq!(decide(&set, Op::Discard), Verdict::default());
    }

    #[test]
    fn arming_twice_keeps_one_and_its_place() {
        let twice = set(&[Mode::Slow, Mode::EioRead, Mode::Slow]);
        assert_eq!(names(&twice), ["slow", "eio_read"]);
    }

    #[test]
    fn removing_takes_away_that_rule_alone() {
        let both = set(&[Mode::Slow, Mode::EioRead]);
        let left = both.edited(&[Edit::Remove(Mode::Slow.rule())], NOW);
        assert_eq!(names(&left), ["eio_read"]);
    }

    #[test]
    fn a_rule_acts_from_its_moment_on_and_arming_it_again_starts_anew() {
        let after = Duration::from_millis(25);
        let rule = Rule {
            after,
            ..Mode::EioRead.rule()
        };
        let (add, armed) = ([Edit::Add(rule)], NOW);
        let set = FaultSet::default().edited(&add, armed);
        let just_before = armed + after - Duration::from_nanos(1);
        assert_eq!(set.decide(Op::Read, just_before).error, None);
        assert_eq!(set.decide(Op::Read, armed + after).error, Some(Errno::EIO));
        let again = set.edited(&add, armed + after);
        assert_eq!(again.decide(Op::Read, armed + after).error, None);
    }
}
