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

/// The sectors of the request that a rule with `per=sector` changes.
fn drawn(set: &FaultSet, range: IoRange) -> Vec<u64> {
    let outcome = set.outcome(range, NOW, &mut RuleHits::default());
    let changes = outcome.changes.iter();
    let pieces = changes.flat_map(|fired| fired.pieces.iter().collect::<Vec<_>>());
    pieces.flat_map(|(from, to)| from / 512..to / 512).collect()
}

#[test]
fn each_whole_sector_in_the_range_is_drawn_for_itself() {
    let rule = "corrupt op=read how=zero at=10+50,70+30 p=0.3 per=sector seed=5";
    let set = set(&[rule, "eio_read p=0 per=sector"]);
    let (mut fired, mut found) = (0, 0);
    for request in 1..=40 {
        let own: Vec<_> = (5..90)
            .filter(|sector| (10..60).contains(sector) || *sector >= 70)
            .collect();
        // One with parts of two sectors: these are not drawn.
        let range = match request % 2 {
            0 => io(Op::Read, 5, 85),
            _ => IoRange {
                op: Op::Read,
                offset: 4 * 512 + 7,
                len: 86 * 512,
            },
        };
        // So many are passed over, then one is drawn.
        let mut random = Random::at(5, request);
        let mut gap = || (f64::ln_1p(-random.unit()) / f64::ln_1p(-0.3)) as usize;
        let (mut expected, mut place) = (Vec::new(), gap());
        while let Some(sector) = own.get(place) {
            expected.push(*sector);
            place += 1 + gap();
        }
        fired += u64::from(!expected.is_empty());
        found += expected.len();
        assert_eq!(drawn(&set, range), expected);
    }
    // 30 % of 40 requests with 70 sectors.
    assert!((740..940).contains(&found), "{found}");
    assert_eq!(
        (set.armed()[0].matched(), set.armed()[0].fired()),
        (40, fired)
    );
    assert_eq!((set.armed()[1].matched(), set.armed()[1].fired()), (40, 0));
}

#[test]
fn request_is_acted_on_if_one_of_its_sectors_is_drawn() {
    let set = set(&["error op=all p=0.01 per=sector seed=9"]);
    let failing = |sectors| {
        (0..400)
            .filter(|_| decide(&set, io(Op::Read, 0, sectors)) == EIO)
            .count()
    };
    // 1 - 0.99^n of them.
    assert!((1..12).contains(&failing(1)));
    assert!((210..300).contains(&failing(100)));
    assert_eq!(failing(2048), 400);
    assert_eq!(decide(&set, io(Op::Flush, 0, 0)), None);
    assert_eq!(set.armed()[0].matched(), 1200);
}
