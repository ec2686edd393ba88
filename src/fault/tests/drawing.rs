//! Sectors that are drawn when a rule is armed.

use std::collections::BTreeSet;

use super::*;

const HUGE: u64 = 16 << 30;

fn drawn_on(disk_sectors: u64, rule: &str) -> Vec<Sectors> {
    let edits = [Edit::Add(parse_rule(rule, 1).unwrap())];
    let arming = Arming {
        seed: 7,
        disk_sectors,
        ..Arming::default()
    };
    let set = FaultSet::default().edited(&edits, arming).unwrap();
    set.armed()[0].bad_sectors()
}

fn each(ranges: &[Sectors]) -> BTreeSet<u64> {
    let all = ranges.iter().flat_map(|at| at.start..at.start + at.count);
    all.collect()
}

#[test]
fn rule_draws_as_many_sectors_as_it_says_and_the_same_ones_with_its_seed() {
    let drawn = |rule: &str| each(&drawn_on(HUGE, rule));
    let first = drawn("eio_read sectors=3000 seed=9");
    assert_eq!(first.len(), 3000);
    assert!(first.iter().all(|sector| *sector < HUGE));
    assert!(*first.last().unwrap() > HUGE / 10 * 9, "of the whole disk");
    assert_eq!(first, drawn("lose op=write sectors=3000 seed=9"));
    assert_ne!(first, drawn("eio_read sectors=3000 seed=10"));
    assert_eq!(
        drawn("eio_read sectors=9"),
        drawn("eio_read sectors=9 seed=7")
    );
    assert_eq!(drawn("eio_read sectors=1000000").len(), 1_000_000);
}

#[test]
fn rule_draws_from_its_ranges_that_the_disk_has() {
    let drawn = |rule: &str| each(&drawn_on(1000, rule));
    let some = drawn("eio_read at=10+5,end-5+50,100+10 sectors=12 seed=3");
    assert_eq!(some.len(), 12);
    let is_in = |n: &u64| (10..15).contains(n) || (100..110).contains(n) || (995..1000).contains(n);
    assert!(some.iter().all(is_in), "{some:?}");
    assert_eq!(
        drawn("eio_read at=10+5,12+5 sectors=50"),
        (10..17).collect()
    );
    assert_eq!(drawn("eio_read sectors=1000"), (0..1000).collect());
    assert_eq!(drawn("eio_read sectors=999").len(), 999);
    assert_eq!(drawn("eio_read at=2000+9 sectors=1"), BTreeSet::new());
}

#[test]
fn draw_chooses_each_set_of_sectors_about_as_often() {
    let mut counts = [0; 10];
    for seed in 0..600 {
        let drawn = each(&drawn_on(5, &format!("eio_read sectors=2 seed={seed}")));
        let pair: Vec<u64> = drawn.into_iter().collect();
        let place = [0, 0, 1, 3, 6][pair[1] as usize] + pair[0];
        counts[place as usize] += 1;
    }
    // The seeds are fixed: 60 are expected, with a standard deviation of 7.
    assert!(counts.iter().all(|n| (36..=84).contains(n)), "{counts:?}");
}

#[test]
fn cluster_has_its_sectors_near_each_other_and_few_that_touch() {
    let runs = [1, 2, 3].map(|seed| {
        let rule = format!("eio_read sectors=3000 cluster=10 seed={seed}");
        let ranges = drawn_on(HUGE, &rule);
        let sectors: Vec<u64> = each(&ranges).into_iter().collect();
        assert_eq!(sectors.len(), 3000);
        let far = sectors.windows(2).filter(|two| two[1] - two[0] > 100);
        assert_eq!(far.count(), 299, "between 300 groups");
        let long = ranges.iter().filter(|at| at.count > 1).count();
        assert!(long * 1000 < ranges.len() * 25, "2.5 %");
        (ranges.len(), long)
    });
    assert_eq!(runs, [(2963, 37), (2962, 37), (2963, 36)]);
}

#[test]
fn draw_in_groups_ends_where_few_sectors_are_free() {
    for rule in [
        "eio_read sectors=250 cluster=50",
        "eio_read sectors=999 cluster=3",
        "eio_read sectors=250 cluster=1000000",
    ] {
        let count: usize = rule.split(['=', ' ']).nth(2).unwrap().parse().unwrap();
        assert_eq!(each(&drawn_on(1000, rule)).len(), count, "{rule}");
    }
    let scattered: Vec<_> = (0..400).map(|n| format!("{}+1", n * 500)).collect();
    let rule = format!("eio_read at={} sectors=90 cluster=9", scattered.join(","));
    assert_eq!(drawn_on(1 << 20, &rule).len(), 90);
}

#[test]
fn drawn_sectors_stay_those_of_the_rule() {
    let set = set(&["eio_read sectors=5 seed=1"]);
    let drawn = set.armed()[0].bad_sectors();
    let fails = |set: &FaultSet| {
        let fails = |sector: &u64| decide(set, io(Op::Read, *sector, 1)) == EIO;
        (0..DISK_SECTORS).filter(fails).collect::<BTreeSet<_>>()
    };
    assert_eq!(fails(&set), each(&drawn));
    let again = set.later(Duration::from_secs(1));
    assert_eq!(
        again.armed()[0].bad_sectors(),
        drawn,
        "as a checkpoint has them"
    );
    let line = set.armed()[0].line(NOW, None);
    let read: RuleLine = line.to_string().parse().unwrap();
    let copy = Armed::of_line(&read, 1, Arming::default()).unwrap();
    assert_eq!(copy.bad_sectors(), drawn, "as rules shows them");
}
