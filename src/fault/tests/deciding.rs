//! What becomes of a request: decisions, changes, and rules that wait for others.

use super::*;

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
