//! Bad sectors that heal when they are written.

use super::*;

/// A request that meets the rules and is done, unless one decides otherwise; the sectors that it writes heal.
fn do_io(set: &FaultSet, range: IoRange) -> Option<Decision> {
    let outcome = set.outcome(range, NOW, &mut RuleHits::default());
    if outcome.decision.is_none() {
        let healers = outcome.healers.iter();
        healers.for_each(|healer| healer.written(range.offset, range.end()));
    }
    outcome.decision.map(|(decision, _)| decision)
}

fn write(set: &FaultSet, sector: u64, count: u64) -> bool {
    do_io(set, io(Op::Write, sector, count)).is_none()
}

fn state(set: &FaultSet) -> String {
    let line = set.armed()[0].line(NOW, None).to_string();
    let words = line.split(' ');
    let shown = ["matched", "fired", "bad", "healed", "refused"];
    let is_shown = |word: &&str| {
        word.split_once('=')
            .is_some_and(|(key, _)| shown.contains(&key))
    };
    words.filter(is_shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn sector_is_good_once_it_is_written_and_the_others_stay_bad() {
    let set = set(&["eio_read at=8+8 heal=write"]);
    assert_eq!(do_io(&set, io(Op::Read, 8, 1)), EIO);
    assert!(write(&set, 10, 2));
    assert_eq!(do_io(&set, io(Op::Read, 10, 2)), None);
    assert_eq!(do_io(&set, io(Op::Read, 9, 2)), EIO);
    assert_eq!(do_io(&set, io(Op::Zero, 14, 20)), None);
    assert_eq!(do_io(&set, io(Op::Discard, 8, 1)), None);
    assert_eq!(
        state(&set),
        "matched=2 fired=2 bad=8+2,12+2 healed=4 refused=0"
    );
    assert!(write(&set, 0, 64));
    assert_eq!(do_io(&set, io(Op::Read, 0, 64)), None);
    assert_eq!(state(&set), "matched=2 fired=2 bad=- healed=8 refused=0");
}

#[test]
fn only_whole_sectors_heal() {
    let set = set(&["eio_read at=1+2 heal=write"]);
    let part = IoRange {
        op: Op::Write,
        offset: 600,
        len: 900,
    };
    assert_eq!(do_io(&set, part), None);
    assert_eq!(state(&set), "matched=0 fired=0 bad=1+2 healed=0 refused=0");
    let more = IoRange { len: 1000, ..part };
    assert_eq!(do_io(&set, more), None);
    assert_eq!(state(&set), "matched=0 fired=0 bad=1+1 healed=1 refused=0");
}

#[test]
fn write_that_is_not_done_heals_nothing() {
    for rules in [
        ["eio_read at=1+1 heal=write", "lose op=write"],
        ["eio_read at=1+1 heal=write", "eio_write"],
        ["eio_read at=1+1 heal=write tries=2", "eio_write"],
    ] {
        let set = set(&rules);
        assert!(!write(&set, 1, 1));
        assert!(state(&set).ends_with(match rules[0].contains("tries") {
            true => "bad=1+1 healed=0 refused=1",
            false => "bad=1+1 healed=0 refused=0",
        }));
    }
    let torn = set(&["tear keep=1", "eio_read at=1+1 heal=write spares=1"]);
    let outcome = torn.outcome(io(Op::Write, 1, 2), NOW, &mut RuleHits::default());
    assert_eq!(outcome.healers.len(), 1, "what is kept of it heals");
}

#[test]
fn each_bad_sector_is_tried_as_often_as_the_rule_says() {
    let set = set(&["eio_read at=8+8 heal=write tries=3"]);
    let done: Vec<bool> = (0..4).map(|_| write(&set, 8, 1)).collect();
    assert_eq!(done, [false, false, true, true]);
    assert_eq!(state(&set), "matched=0 fired=0 bad=9+7 healed=1 refused=2");
    // A write of several counts for each of them, and is done when the last one is ready.
    let done: Vec<bool> = [(9, 1), (9, 2), (9, 2), (9, 2), (11, 5), (8, 8)]
        .into_iter()
        .map(|(sector, count)| write(&set, sector, count))
        .collect();
    assert_eq!(done, [false, false, false, true, false, false]);
    assert_eq!(state(&set), "matched=0 fired=0 bad=11+5 healed=3 refused=7");
    assert!(write(&set, 0, 64));
    assert_eq!(state(&set), "matched=0 fired=0 bad=- healed=8 refused=7");
}

#[test]
fn write_that_needs_more_spares_than_are_left_fails_whole() {
    let set = set(&["error op=read errno=ENODATA at=8+8 heal=write spares=3"]);
    assert!(write(&set, 8, 2));
    let fails = Some(Decision::Error(Errno(libc::ENODATA)));
    assert_eq!(do_io(&set, io(Op::Write, 10, 2)), fails);
    assert_eq!(state(&set), "matched=0 fired=0 bad=10+6 healed=2 refused=1");
    assert!(write(&set, 10, 1));
    assert_eq!(do_io(&set, io(Op::Write, 11, 1)), fails);
    assert!(write(&set, 0, 11), "these are good");
    assert_eq!(state(&set), "matched=0 fired=0 bad=11+5 healed=3 refused=2");
}

#[test]
fn spares_of_writes_that_are_being_done_are_taken() {
    let set = set(&["eio_read at=8+8 heal=write spares=2"]);
    let begin = |sector, count| {
        let range = io(Op::Write, sector, count);
        set.outcome(range, NOW, &mut RuleHits::default())
    };
    let (first, same) = (begin(8, 2), begin(9, 1));
    assert!(first.decision.is_none() && same.decision.is_none());
    assert!(begin(10, 1).decision.is_some());
    drop(first);
    assert!(begin(10, 1).decision.is_none(), "it was not done");
    same.healers[0].written(9 * 512, 10 * 512);
    drop(same);
    assert!(begin(10, 2).decision.is_some());
    assert!(begin(10, 1).decision.is_none());
    assert_eq!(
        state(&set),
        "matched=0 fired=0 bad=8+1,10+6 healed=1 refused=2"
    );
}

#[test]
fn counts_of_healing_are_exact_on_many_threads() {
    let set = set(&["eio_read at=0+1000 heal=write spares=600"]);
    let mut done = 0;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for thread in 0..4 {
            let set = &set;
            let all = (0..1000).filter(move |n| n % 4 == thread);
            threads.push(scope.spawn(move || all.filter(|n| write(set, *n, 1)).count()));
        }
        done = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
    });
    assert_eq!(done, 600);
    assert!(state(&set).ends_with("healed=600 refused=400"));
    let bad: u64 = set.armed()[0].bad_sectors().iter().map(|at| at.count).sum();
    assert_eq!(bad, 400);
}

#[test]
fn rule_heals_while_it_acts_alone() {
    let set = set(&["eio_read at=1+1 heal=write after=1s times=1 skip=1"]);
    assert!(write(&set, 1, 1));
    assert!(state(&set).contains("bad=1+1"));
    let later = NOW + Duration::from_secs(1);
    let outcome = set.outcome(io(Op::Write, 1, 1), later, &mut RuleHits::default());
    outcome.healers[0].written(512, 1024);
    assert!(state(&set).contains("bad=- healed=1"));
    let guest = self::set(&["eio_read at=1+1 heal=write client=host"]);
    assert!(write(&guest, 1, 1));
    assert!(state(&guest).contains("bad=1+1 healed=0"));
}

#[test]
fn rule_heals_where_a_request_is_misdirected_to_if_it_acts_at_its_place_among_the_rules() {
    let healers = |rules: &[&str]| {
        let set = set(rules);
        let write = || {
            let outcome = set.outcome(io(Op::Write, 4, 2), NOW, &mut RuleHits::default());
            outcome.healers.len()
        };
        [write(), write()]
    };
    let (misdirect, heal) = (
        "misdirect op=write by=+4 tag=a",
        "eio_read at=8+1 heal=write when=a",
    );
    assert_eq!(healers(&[misdirect, heal]), [0, 1], "woken after its turn");
    assert_eq!(healers(&["misdirect op=read by=+4", heal]), [0, 0]);
    let (misdirect, lose) = ("misdirect op=write by=+4", "lose op=write at=5+1 tag=a");
    assert_eq!(healers(&[lose, heal, misdirect]), [1, 1]);
    assert_eq!(healers(&[heal, lose, misdirect]), [0, 1]);
    assert_eq!(healers(&[heal, lose]), [0, 0], "it writes no bad sector");
}

#[test]
fn copies_have_what_is_left_bad_and_what_was_tried() {
    let set = set(&["eio_read at=1+4 heal=write tries=2 spares=3"]);
    assert!(!write(&set, 1, 2) && write(&set, 1, 1));
    let copy = set.later(Duration::ZERO);
    assert!(write(&copy, 2, 1), "tried before");
    assert!(!write(&copy, 3, 1) && write(&copy, 3, 1));
    assert!(!write(&copy, 4, 1) && !write(&copy, 4, 1), "no spares");
    assert!(state(&set).contains("bad=2+3 healed=1"), "{}", state(&set));
    assert!(
        state(&copy).contains("bad=4+1 healed=3"),
        "{}",
        state(&copy)
    );
    let again = Edit::Add(parse_rule("eio_read at=1+4 heal=write tries=2 spares=3", 1).unwrap());
    let anew = set.edited(&[again], Arming::default()).unwrap();
    assert!(state(&anew).contains("bad=1+4 healed=0"), "armed again");
}

#[test]
fn heal_stands_with_modes_and_prints_as_it_was_written() {
    for (text, printed) in [
        (
            "eio_read sectors=50 heal=write seed=3",
            "eio_read heal=write sectors=50 seed=3",
        ),
        ("error heal=write", "error op=read errno=EIO heal=write"),
        (
            "error op=all tries=1 heal=write spares=0",
            "error op=read,discard errno=EIO heal=write spares=0",
        ),
        ("eio_read heal=write tries=2", "eio_read heal=write tries=2"),
    ] {
        let rule = parse_rule(text, 1).unwrap();
        assert_eq!(rule.to_string(), printed);
        assert_eq!(parse_rule(printed, 1), Ok(rule));
    }
}
