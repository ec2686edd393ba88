//! What becomes of a request: decisions, changes, and rules that wait for others.

use super::*;
use crate::protocol::PowerCut;

#[test]
fn mode_acts_on_its_operations_and_no_other() {
    let failing = |mode| Op::ALL.map(|op| decide(&set(&[mode]), io(op, 0, 1)) == EIO);
    assert_eq!(failing("eio_read"), [true, false, false, false, false]);
    assert_eq!(failing("eio_write"), [false, true, false, false, true]);
    let slow = set(&["slow"]);
    let waits = Op::ALL.map(|op| {
        let wait = slow.wait(io(op, 0, 1), NOW, &mut RuleHits::default());
        wait.map_or(0, |wait| wait.time.as_millis())
    });
    assert_eq!(waits, [50, 50, 0, 0, 50]);
}

#[test]
fn decision_is_that_of_the_first_rule_and_later_ones_count_nothing() {
    let set = set(&[
        "error op=read errno=ENOSPC times=1",
        "eio_read",
        "lose op=write",
    ]);
    assert_eq!(
        decide(&set, io(Op::Read, 0, 1)),
        Some(Decision::Error(Errno(libc::ENOSPC)))
    );
    assert_eq!(set.armed()[1].matched(), 0);
    assert_eq!(decide(&set, io(Op::Read, 0, 1)), EIO);
    assert_eq!(decide(&set, io(Op::Write, 0, 1)), Some(Decision::Lose));
    // Nor do they after the I/O.
    let torn = self::set(&["tear keep=1", "error op=write errno=EIO"]);
    let (mut hits, range) = (RuleHits::default(), io(Op::Write, 0, 4));
    assert!(torn.outcome(range, NOW, &mut hits).decision.is_some());
    assert!(torn.late_error(range, NOW, &mut hits).is_none());
}

#[test]
fn changes_come_in_order_and_not_to_a_request_that_fails() {
    let changed = set(&["corrupt how=zero", "misdirect by=+8", "stale"]);
    let outcome = changed.outcome(io(Op::Read, 0, 1), NOW, &mut RuleHits::default());
    let actions = outcome
        .changes
        .iter()
        .map(|fired| fired.rule.rule.action.kind().name());
    assert_eq!(
        actions.collect::<Vec<_>>(),
        ["corrupt", "misdirect", "stale"]
    );
    let failed = set(&["corrupt how=zero", "eio_read"]);
    let outcome = failed.outcome(io(Op::Read, 0, 1), NOW, &mut RuleHits::default());
    assert!(outcome.changes.is_empty());
    assert_eq!(failed.armed()[0].matched(), 0);
}

/// What a new request at [`NOW`] ends with, and the power cut that ends it.
fn cut(set: &FaultSet, range: IoRange) -> Option<(CutPoint, PowerCut)> {
    let outcome = set.outcome(range, NOW, &mut RuleHits::default());
    let (decision, armed) = outcome.decision?;
    let (Decision::Cut(point), Action::Cut(rule)) = (decision, &armed.rule.action) else {
        panic!("{decision:?} of {:?}", armed.rule);
    };
    Some((point, rule.with_seed(outcome.seed)))
}

#[test]
fn cut_acts_on_the_requests_that_its_counts_choose() {
    for (rule, expected) in [
        ("cut op=flush skip=2 times=1", &[3][..]),
        ("cut op=flush every=4", &[4, 8]),
        ("cut op=flush skip=1 every=3 times=2", &[4, 7]),
        ("cut op=flush times=0", &[]),
    ] {
        let set = set(&[rule]);
        let at = |n: &u64| {
            assert_eq!(decide(&set, io(Op::Write, *n, 1)), None, "{rule}");
            cut(&set, io(Op::Flush, 0, 0)).is_some()
        };
        assert_eq!((1..=10).filter(at).collect::<Vec<_>>(), expected, "{rule}");
    }
    let any = set(&["cut"]);
    assert!(Op::ALL.iter().all(|op| cut(&any, io(*op, 0, 1)).is_some()));
}

#[test]
fn cut_leaves_the_request_undone_unless_it_comes_after_it() {
    for (rule, point, changes) in [
        ("cut op=write", CutPoint::Before, 0),
        ("cut op=write point=after", CutPoint::After, 1),
    ] {
        let set = set(&[rule, "corrupt op=write how=zero", "error op=write"]);
        let outcome = set.outcome(io(Op::Write, 0, 1), NOW, &mut RuleHits::default());
        let decision = outcome.decision.map(|(decision, _)| decision);
        assert_eq!(decision, Some(Decision::Cut(point)));
        assert_eq!(outcome.changes.len(), changes, "{rule}");
        assert_eq!(decision.unwrap().leaves_undone(), point == CutPoint::Before);
        assert_eq!(set.armed()[2].matched(), 0, "the cut decides");
    }
}

#[test]
fn cut_draws_from_its_own_seed_or_from_that_of_the_disk_and_the_number_of_the_request() {
    let seeds = |rule: &str| -> Vec<_> {
        let set = set(&[rule]);
        let cut = |_| cut(&set, io(Op::Read, 0, 1)).unwrap().1;
        (0..3).map(cut).map(|cut| cut.seed.unwrap()).collect()
    };
    assert_eq!(seeds("cut keep=random seed=5"), [5, 5, 5]);
    let drawn = seeds("cut keep=random");
    assert_eq!(drawn, seeds("cut keep=random p=0.1 tag=a"));
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2], "{drawn:?}");
    assert_eq!(set(&["cut seed=5"]).armed()[0].seed, 5);
    assert_eq!(set(&["cut"]).armed()[0].seed, 7, "that of the set");
}

#[test]
fn cut_that_begins_to_act_while_a_request_is_served_passes_it_by() {
    let set = set(&["cut after=1s", "error errno=EIO after=1s"]);
    let (mut hits, range) = (RuleHits::default(), io(Op::Write, 0, 1));
    assert!(set.outcome(range, NOW, &mut hits).decision.is_none());
    let later = NOW + Duration::from_secs(1);
    let late = set.late_error(range, later, &mut hits);
    assert_eq!(late.unwrap().0, Errno::EIO, "the error acts");
    assert_eq!(set.armed()[0].matched(), 0);
    assert_eq!(
        decide_at(&set, range, later),
        Some(Decision::Cut(CutPoint::Before))
    );
}

#[test]
fn set_knows_whether_a_rule_may_cut_the_power() {
    assert!(!set(&["tear keep=1", "lose op=flush"]).cuts_power());
    let armed = set(&["slow", "cut op=flush times=1 tag=a"]);
    assert!(armed.cuts_power());
    let edits = [Edit::RemoveTag("a".into())];
    assert!(
        !armed
            .edited(&edits, Arming::default())
            .unwrap()
            .cuts_power()
    );
}

#[test]
fn when_lets_a_rule_act_after_another_has_fired() {
    let set = set(&["error op=write errno=ENOSPC tag=full", "eio_read when=full"]);
    assert_eq!(decide(&set, io(Op::Read, 0, 1)), None);
    assert_eq!(
        decide(&set, io(Op::Write, 0, 1)),
        Some(Decision::Error(Errno(libc::ENOSPC)))
    );
    assert_eq!(decide(&set, io(Op::Read, 0, 1)), EIO);
}
