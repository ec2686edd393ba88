//! Counting selectors and random draws.

use super::*;

#[test]
fn counting_selectors_choose_exactly() {
    let set = set(&["error op=read errno=EIO skip=100 every=7 times=50"]);
    let expected: Vec<u64> = (1..=50).map(|n| 100 + 7 * n).collect();
    assert_eq!(failing(&set, 10_000), expected);
    assert_eq!(
        (set.armed()[0].matched(), set.armed()[0].fired()),
        (10_000, 50)
    );
}

#[test]
fn largest_counts_pass_over_what_they_say() {
    let set = set(&[
        "eio_read skip=1000000000000000",
        "eio_write every=1000000000000000",
    ]);
    assert!(failing(&set, 100).is_empty());
    assert_eq!(decide(&set, io(Op::Write, 0, 1)), None);
    // Past what the grammar lets in, too.
    let rule = Rule {
        skip: u64::MAX,
        ..Mode::EioRead.rule()
    };
    let set = FaultSet::default().edited(&[Edit::Add(rule)], Arming::default());
    assert!(failing(&set.unwrap(), 100).is_empty());
}

#[test]
fn rule_counts_a_request_once_in_all_looks() {
    let set = set(&["eio_read skip=1"]);
    let (mut hits, range) = (RuleHits::default(), io(Op::Read, 0, 1));
    assert!(set.outcome(range, NOW, &mut hits).decision.is_none());
    assert!(set.late_error(range, NOW, &mut hits).is_none());
    assert_eq!(set.armed()[0].matched(), 1);
    // One that began to act only after the I/O is counted then.
    let set = self::set(&["eio_read after=1s"]);
    let mut hits = RuleHits::default();
    assert!(set.outcome(range, NOW, &mut hits).decision.is_none());
    let later = NOW + Duration::from_secs(1);
    assert_eq!(
        set.late_error(range, later, &mut hits).unwrap().0,
        Errno::EIO
    );
}

#[test]
fn probability_draws_the_same_from_the_same_seed() {
    let rule = "error op=read errno=EIO p=0.1 seed=42";
    let once = failing(&set(&[rule]), 10_000);
    assert_eq!(once, failing(&set(&["eio_write", rule]), 10_000));
    assert!((900..=1100).contains(&once.len()), "{}", once.len());
    assert_ne!(
        once,
        failing(&set(&["error op=read errno=EIO p=0.1 seed=43"]), 10_000)
    );
    assert_eq!(failing(&set(&["eio_read p=0"]), 100), Vec::<u64>::new());
    assert_eq!(failing(&set(&["eio_read p=1"]), 3), [1, 2, 3]);
}

#[test]
fn draw_depends_on_the_seed_and_the_number_of_the_request_alone() {
    let alone = failing(&set(&["eio_read p=0.3 seed=7"]), 1000);
    for same in [
        "eio_read p=0.3",
        "eio_read p=0.3 tag=a",
        "eio_read p=0.3 times=100000",
        "error op=read,write errno=EIO p=0.3 at=0+8",
    ] {
        assert_eq!(
            failing(&set(&[same]), 1000),
            alone,
            "{same}: the set's seed is 7"
        );
    }
    let behind = |n: &&u64| **n > 500;
    let skipped = failing(&set(&["eio_read p=0.3 skip=500"]), 1000);
    assert_eq!(
        skipped.iter().collect::<Vec<_>>(),
        alone.iter().filter(behind).collect::<Vec<_>>()
    );
    assert_ne!(failing(&set(&["eio_read p=0.3 seed=8"]), 1000), alone);
    assert_eq!(failing(&set(&["eio_read p=0.3 times=5"]), 1000), alone[..5]);
}
