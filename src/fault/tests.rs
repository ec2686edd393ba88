//! The engine as a whole: what is armed, asked and counted.

use crate::protocol::Errno;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn set(rules: &[&str]) -> FaultSet {
    let rules = rules.iter().map(|rule| parse_rule(rule, 1).unwrap());
    let edits: Vec<_> = rules.map(Edit::Add).collect();
    let arming = Arming {
        now: NOW,
        seed: 7,
        first_id: 1,
    };
    FaultSet::default().edited(&edits, arming).unwrap()
}

fn ask(op: Op, sector: u64, sectors: u64) -> IoRange {
    IoRange {
        op,
        offset: sector * 512,
        len: sectors * 512,
    }
}

/// How a new request ends at `now`, if a rule decides.
fn decide_at(set: &FaultSet, ask: IoRange, now: Duration) -> Option<Decision> {
    let outcome = set.outcome(ask, now, &mut Seen::default());
    outcome.decision.map(|(decision, _)| decision)
}

fn decide(set: &FaultSet, ask: IoRange) -> Option<Decision> {
    decide_at(set, ask, NOW)
}

const EIO: Option<Decision> = Some(Decision::Error(Errno::EIO));

/// Which of so many reads fail, counted from 1.
fn failing(set: &FaultSet, reads: u64) -> Vec<u64> {
    (1..=reads)
        .filter(|_| decide(set, ask(Op::Read, 0, 1)) == EIO)
        .collect()
}

fn names(set: &FaultSet) -> Vec<String> {
    set.rules().map(Rule::to_string).collect()
}

#[test]
fn each_mode_acts_on_its_kinds_of_request_and_no_other() {
    let failing = |mode| Op::ALL.map(|op| decide(&set(&[mode]), ask(op, 0, 1)) == EIO);
    assert_eq!(failing("eio_read"), [true, false, false, false, false]);
    assert_eq!(failing("eio_write"), [false, true, false, false, true]);
    let slow = set(&["slow"]);
    let waits = Op::ALL.map(|op| {
        let wait = slow.wait(ask(op, 0, 1), NOW, &mut Seen::default());
        wait.map_or(0, |wait| wait.time.as_millis())
    });
    assert_eq!(waits, [50, 50, 0, 0, 50]);
}

#[test]
fn skip_every_and_times_choose_exactly() {
    let set = set(&["error op=read errno=EIO skip=100 every=7 times=50"]);
    let expected: Vec<u64> = (1..=50).map(|n| 100 + 7 * n).collect();
    assert_eq!(failing(&set, 10_000), expected);
    assert_eq!(
        (set.armed()[0].matched(), set.armed()[0].fired()),
        (10_000, 50)
    );
}

#[test]
fn a_probability_draws_the_same_from_the_same_seed() {
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
fn a_range_begins_and_ends_at_its_sectors() {
    let set = set(&["error op=read errno=EIO at=2048+8"]);
    let fails = |sector, count| decide(&set, ask(Op::Read, sector, count)) == EIO;
    assert!(!fails(2047, 1) && !fails(2056, 1));
    assert!(fails(2048, 1) && fails(2055, 1));
    assert!(fails(2047, 2) && fails(2055, 8) && fails(0, 9999));
    assert_eq!(decide(&set, ask(Op::Write, 2048, 1)), None);
}

#[test]
fn a_size_has_both_of_its_ends() {
    let set = set(&["error errno=EIO size=1K..4K"]);
    let fails = [1, 2, 8, 9].map(|sectors| decide(&set, ask(Op::Write, 0, sectors)) == EIO);
    assert_eq!(fails, [false, true, true, false]);
}

#[test]
fn times_of_day_are_counted_from_the_arming() {
    let set = set(&["error errno=EIO after=10s for=20s up=1s down=3s"]);
    let fails = |millis: u64| {
        decide_at(
            &set,
            ask(Op::Read, 0, 1),
            NOW + Duration::from_millis(millis),
        ) == EIO
    };
    assert!(!fails(9_999));
    assert!(fails(10_000) && fails(10_999));
    assert!(!fails(11_000) && !fails(13_999));
    assert!(fails(14_000) && fails(26_500));
    assert!(!fails(27_000) && !fails(30_000));
}

#[test]
fn a_rule_can_wait_for_another() {
    let set = set(&["error op=write errno=ENOSPC tag=full", "eio_read when=full"]);
    assert_eq!(decide(&set, ask(Op::Read, 0, 1)), None);
    assert_eq!(
        decide(&set, ask(Op::Write, 0, 1)),
        Some(Decision::Error(Errno(libc::ENOSPC)))
    );
    assert_eq!(decide(&set, ask(Op::Read, 0, 1)), EIO);
}

#[test]
fn the_first_rule_that_decides_decides_and_the_others_do_not_count() {
    let set = set(&[
        "error op=read errno=ENOSPC times=1",
        "eio_read",
        "lose op=write",
    ]);
    assert_eq!(
        decide(&set, ask(Op::Read, 0, 1)),
        Some(Decision::Error(Errno(libc::ENOSPC)))
    );
    assert_eq!(set.armed()[1].matched(), 0);
    assert_eq!(decide(&set, ask(Op::Read, 0, 1)), EIO);
    assert_eq!(decide(&set, ask(Op::Write, 0, 1)), Some(Decision::Lose));
    // Nor do they after the I/O.
    let torn = self::set(&["tear keep=1", "error op=write errno=EIO"]);
    let (mut seen, ask) = (Seen::default(), ask(Op::Write, 0, 4));
    assert!(torn.outcome(ask, NOW, &mut seen).decision.is_some());
    assert!(torn.late_error(ask, NOW, &mut seen).is_none());
}

#[test]
fn delays_add_up_and_a_hang_comes_after_them() {
    let set = set(&["hang op=read max=5s then=ok", "slow", "delay by=10ms..20ms"]);
    let mut seen = Seen::default();
    let ask = ask(Op::Read, 0, 1);
    let delay = set.wait(ask, NOW, &mut seen).unwrap();
    assert!((60..=70).contains(&delay.time.as_millis()), "{delay:?}");
    assert!(!delay.is_hang);
    let hang = set.wait(ask, NOW, &mut seen).unwrap();
    assert_eq!(
        (hang.time, hang.then, hang.is_hang),
        (Duration::from_secs(5), Then::Ok, true)
    );
    assert!(
        set.wait(ask, NOW, &mut seen).is_none(),
        "each rule holds a request once"
    );
}

#[test]
fn a_rule_counts_a_request_once_however_often_it_is_looked_at() {
    let set = set(&["eio_read skip=1"]);
    let (mut seen, ask) = (Seen::default(), ask(Op::Read, 0, 1));
    assert!(set.outcome(ask, NOW, &mut seen).decision.is_none());
    assert!(set.late_error(ask, NOW, &mut seen).is_none());
    assert_eq!(set.armed()[0].matched(), 1);
    // One that began to act only after the I/O is counted then.
    let set = self::set(&["eio_read after=1s"]);
    let mut seen = Seen::default();
    assert!(set.outcome(ask, NOW, &mut seen).decision.is_none());
    let later = NOW + Duration::from_secs(1);
    assert_eq!(set.late_error(ask, later, &mut seen).unwrap().0, Errno::EIO);
}

#[test]
fn what_changes_data_comes_in_order_and_not_to_what_fails() {
    let changed = set(&["corrupt how=zero", "misdirect by=+8", "stale"]);
    let outcome = changed.outcome(ask(Op::Read, 0, 1), NOW, &mut Seen::default());
    let actions = outcome
        .changes
        .iter()
        .map(|(_, armed)| armed.rule.action.name());
    assert_eq!(
        actions.collect::<Vec<_>>(),
        ["corrupt", "misdirect", "stale"]
    );
    let failed = set(&["corrupt how=zero", "eio_read"]);
    let outcome = failed.outcome(ask(Op::Read, 0, 1), NOW, &mut Seen::default());
    assert!(outcome.changes.is_empty());
    assert_eq!(failed.armed()[0].matched(), 0);
}

#[test]
fn arming_again_keeps_the_place_and_starts_anew() {
    let first = set(&["eio_read times=1", "slow"]);
    assert_eq!(failing(&first, 3), [1]);
    let again = Edit::Add(parse_rule("eio_read times=1", 1).unwrap());
    let arming = Arming {
        first_id: 9,
        ..Arming::default()
    };
    let second = first.edited(&[again], arming).unwrap();
    assert_eq!(names(&second), ["eio_read times=1", "slow"]);
    assert_eq!(failing(&second, 3), [1]);
}

#[test]
fn a_rule_prints_as_it_was_written_and_its_other_spelling_is_equal() {
    for text in ["eio_read at=8+1", "error op=read errno=EIO at=8+1"] {
        assert_eq!(parse_rule(text, 1).unwrap().to_string(), text);
    }
    let both = set(&["eio_read at=8+1", "error op=read errno=EIO at=8+1"]);
    assert_eq!(both.rules().count(), 1);
    let plain = parse_rule("error op=read errno=EIO", 1).unwrap();
    assert_eq!(plain.to_string(), "eio_read");
}

#[test]
fn an_error_without_a_number_is_eio() {
    assert_eq!(parse_rule("error op=read", 1), parse_rule("eio_read", 1));
}

#[test]
fn each_number_and_name_is_armed_or_refused_for_each_operation_and_as_an_end() {
    let is_armed = |errno: &str, rule: &str| parse_rule(&format!("{rule}{errno}"), 1).is_ok();
    let mut errnos: Vec<_> = (0..=600).map(|n| (n.to_string(), n)).collect();
    errnos.extend(Errno::names().map(|name| (name.to_owned(), 1)));
    for (errno, number) in errnos {
        let expected = (1..=511).contains(&number) && errno != "38" && errno != "ENOSYS";
        for op in Op::ALL {
            assert_eq!(is_armed(&errno, &format!("error op={op} errno=")), expected);
            assert_eq!(is_armed(&errno, &format!("hang op={op} then=")), expected);
        }
        assert_eq!(is_armed(&errno, "tear keep=1 then="), expected, "{errno}");
    }
}

#[test]
fn the_largest_counts_pass_over_what_they_say() {
    let set = set(&[
        "eio_read skip=1000000000000000",
        "eio_write every=1000000000000000",
    ]);
    assert!(failing(&set, 100).is_empty());
    assert_eq!(decide(&set, ask(Op::Write, 0, 1)), None);
    // Past what the grammar lets in, too.
    let rule = Rule {
        skip: u64::MAX,
        ..Mode::EioRead.rule()
    };
    let set = FaultSet::default().edited(&[Edit::Add(rule)], Arming::default());
    assert!(failing(&set.unwrap(), 100).is_empty());
}

#[test]
fn what_is_drawn_depends_on_the_seed_and_the_number_of_the_request_alone() {
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

#[test]
fn a_hang_comes_after_the_delays_wherever_they_stand() {
    let set = set(&[
        "hang op=read tag=h",
        "delay op=read by=400ms",
        "delay by=1s when=h",
    ]);
    let (mut seen, ask) = (Seen::default(), ask(Op::Read, 0, 1));
    let mut next = || {
        set.wait(ask, NOW, &mut seen)
            .map(|wait| (wait.is_hang, wait.time.as_millis()))
    };
    let waits = std::array::from_fn(|_| next());
    // The last one waited for the hang to fire.
    assert_eq!(
        waits,
        [
            Some((false, 400)),
            Some((true, 60_000)),
            Some((false, 1000)),
            None
        ]
    );
}

#[test]
fn a_rule_that_waited_for_another_waits_no_more_when_that_one_has_fired_and_is_removed() {
    let armed = set(&["error op=write errno=EIO tag=a", "eio_read when=a"]);
    let remove = |set: &FaultSet| {
        let edits = parse_edits(b"!a").unwrap();
        set.edited(&edits, Arming::default()).unwrap()
    };
    assert_eq!(decide(&remove(&armed), ask(Op::Read, 0, 1)), None);
    assert_eq!(decide(&armed, ask(Op::Write, 0, 1)), EIO);
    let removed = remove(&armed);
    assert_eq!(decide(&removed, ask(Op::Read, 0, 1)), EIO);
    let states = removed
        .armed()
        .iter()
        .map(|armed| RuleState::of(armed, NOW, None));
    let states: Vec<_> = states
        .map(|state| RuleState::parse(&state.to_string()).unwrap())
        .collect();
    let copies = states
        .iter()
        .filter_map(|state| state.armed(1, NOW).map(std::sync::Arc::new));
    let copy = FaultSet::of(copies.collect());
    assert_eq!(
        decide(&copy, ask(Op::Read, 0, 1)),
        EIO,
        "as it is shown, too"
    );
}

#[test]
fn a_rule_is_known_by_whatever_parses_to_it_and_by_its_tag() {
    let set = set(&["error op=read errno=EIO tag=a times=2", "eio_write skip=1"]);
    let states: Vec<_> = set
        .armed()
        .iter()
        .map(|armed| RuleState::of(armed, NOW, None))
        .collect();
    let called = |name: &str| {
        let name = RuleName::new(name);
        states
            .iter()
            .map(|state| state.is_called(&name))
            .collect::<Vec<_>>()
    };
    for first in [
        "a",
        "eio_read times=2 tag=a",
        "error tag=a  errno=5 op=read times=2",
    ] {
        assert_eq!(called(first), [true, false], "{first}");
    }
    assert_eq!(called("error skip=1 op=zero,write"), [false, true]);
    assert_eq!(called("eio_read times=2"), [false, false]);
    assert_eq!(called("eio_write"), [false, false]);
}

fn remarks(rules: &[&str]) -> Vec<String> {
    let kind = DiskKind {
        size: 1 << 20,
        read_only: false,
        longest: 1 << 20,
    };
    let remarks = set(rules).remarks(kind).into_iter();
    let texts = remarks.map(|remark| match remark {
        Some(Remark::Never(why)) => format!("never: {why}"),
        Some(Remark::Note(note)) => format!("note: {note}"),
        None => String::new(),
    });
    texts.collect()
}

#[test]
fn never_is_said_of_what_can_never_act_and_of_nothing_else() {
    let never = |rules: &[&str]| remarks(rules).pop().unwrap().starts_with("never: ");
    for rules in [
        &["eio_read when=a"][..],
        &["eio_read tag=a when=a"],
        &["eio_read tag=a when=b", "eio_write tag=b when=a"],
        &["eio_read tag=a times=0", "eio_write when=a"],
        &["error op=flush size=1.."],
        &["eio_read size=..0"],
        &["error op=flush at=0+1"],
        &["eio_read", "corrupt op=read how=zero"],
    ] {
        assert!(never(rules), "{rules:?}: {:?}", remarks(rules));
    }
    for rules in [
        &["eio_read at=2048+1"][..],
        &["eio_read tag=a", "eio_write when=a"],
        &["error op=flush size=..0"],
        &["error op=flush,read size=1.."],
        &["eio_read times=1", "corrupt op=read how=zero"],
        &["eio_read", "delay op=read by=1ms"],
        &["eio_read", "lose op=write"],
    ] {
        assert!(!never(rules), "{rules:?}: {:?}", remarks(rules));
    }
    assert_eq!(
        remarks(&["eio_read at=2048+1,4000+8", "eio_read at=2047+1"]),
        [
            "note: the disk ends before its sectors: it has 2048, and a guest asks for no more",
            ""
        ]
    );
}

#[test]
fn equal_rules_are_one_and_it_is_said_where_two_would_be_more() {
    let twice = remarks(&[
        "slow",
        "delay op=read,write,zero by=50ms",
        "eio_read",
        "eio_read",
    ]);
    assert_eq!(
        twice,
        [
            "note: armed 2 times and acts once: equal rules are one; a `tag=` makes two of them",
            ""
        ]
    );
    assert_eq!(remarks(&["slow", "slow tag=b"]), ["", ""]);
}

#[test]
fn rules_are_removed_by_text_and_by_tag() {
    let all = set(&["slow", "eio_read tag=a", "eio_write tag=a"]);
    let edited = |text: &str| all.edited(&parse_edits(text.as_bytes()).unwrap(), Arming::default());
    assert_eq!(names(&edited("!a").unwrap()), ["slow"]);
    assert_eq!(names(&edited("!slow").unwrap()).len(), 2);
    assert_eq!(
        names(&edited("! eio_read tag=a").unwrap()),
        ["slow", "eio_write tag=a"]
    );
    assert_eq!(edited("!b").unwrap_err(), NoSuchTag("b".into()));
}

#[test]
fn errors_name_the_place_and_the_nearest_word() {
    let error = |text: &str| parse_edits(text.as_bytes()).unwrap_err().to_string();
    let cases = [
        (
            "slow\nbogus",
            "line 2, column 1: unknown mode `bogus` (valid: eio_read, eio_write, slow, error,",
        ),
        (
            "  eror errno=EIO",
            "line 1, column 3: unknown mode `eror`; did you mean `error`? (valid:",
        ),
        (
            "error erno=EIO",
            "line 1, column 7: unknown key `erno` of `error`; did you mean `errno`?",
        ),
        (
            "error errno=EOI",
            "line 1, column 7: `errno=EOI` is not a known errno; did you mean `EIO`? (valid: a number from 1 to 511, or a name",
        ),
        (
            "error errno=512",
            "line 1, column 7: `errno=512` is not a known errno (valid: a number from 1 to 511, or a name",
        ),
        (
            "hang then=ENOSYS",
            "line 1, column 6: `then=ENOSYS` tells the kernel that this file system never serves such requests",
        ),
        (
            "slow skip=18446744073709551615",
            "line 1, column 6: `skip=18446744073709551615` wants a number of requests, up to 10^15",
        ),
        (
            "slow times=1000000000000001",
            "line 1, column 6: `times=1000000000000001` wants a number of requests, up to 10^15",
        ),
        (
            "slow at=18014398509481983+2",
            "line 1, column 6: `at=18014398509481983+2` wants sectors below 2^54 as START+COUNT",
        ),
        (
            "slow at=1+18446744073709551615",
            "line 1, column 6: `at=1+18446744073709551615` wants sectors below 2^54",
        ),
        (
            "tear keep=18014398509481985",
            "line 1, column 6: `keep=18014398509481985` wants a number of sectors below 2^54",
        ),
        (
            "misdirect by=+18014398509481984",
            "line 1, column 11: `by=+18014398509481984` wants a number of sectors with its sign, as in +8 or -8, below 2^54",
        ),
        (
            "delay by=525601m",
            "line 1, column 7: `by=525601m` wants a time with its unit, as in 200us, 50ms, 1.5s, 2m or 1h, up to a year",
        ),
        (
            "eio_read at=5",
            "line 1, column 10: `at=5` wants sectors below 2^54 as START+COUNT",
        ),
        (
            "delay by=50",
            "line 1, column 7: `by=50` wants a time with its unit",
        ),
        (
            "tear op=read keep=1",
            "line 1, column 6: `tear` can do nothing to read (valid: op=write)",
        ),
        (
            "slow up=1s",
            "line 1, column 6: up= and down= come together",
        ),
        (
            "slow p=2",
            "line 1, column 6: `p=2` wants a number from 0 to 1",
        ),
        (
            "slow every=0",
            "line 1, column 6: `every=0` wants a number from 1 to 10^15",
        ),
        (
            "slow skip=1 skip=2",
            "line 1, column 13: `skip` stands twice",
        ),
        (
            "corrupt how=flip byte=1",
            "line 1, column 18: `byte` belongs to how=fill",
        ),
        (
            "misdirect by=8",
            "line 1, column 11: `by=8` wants a number of sectors with its sign",
        ),
        (
            "slow from=host",
            "line 1, column 6: `from=host` wants `guest`, the only one that can be told apart",
        ),
        ("slow now", "line 1, column 6: `now` is no key=value"),
        ("slow tag=all", "line 1, column 6: `tag=all` wants a name"),
        (
            " !",
            "line 1, column 3: `!` wants the rule or the tag to remove",
        ),
    ];
    for (text, expected) in cases {
        assert!(error(text).starts_with(expected), "{text}: {}", error(text));
    }
    assert!(
        parse_edits(b"\xff")
            .unwrap_err()
            .to_string()
            .starts_with("the text is not UTF-8")
    );
}

fn duration() -> impl Strategy<Value = Duration> {
    (0_u64..1 << 44).prop_map(Duration::from_micros)
}

fn errno() -> impl Strategy<Value = Errno> {
    (1..=511)
        .prop_filter("the kernel's own", |n| *n != libc::ENOSYS)
        .prop_map(Errno)
}

fn sectors() -> impl Strategy<Value = Sectors> {
    (0_u64..1 << 53, 1_u64..=1 << 53).prop_map(|(start, count)| Sectors { start, count })
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![Just(Then::Ok), errno().prop_map(Then::Error)]
}

fn action() -> impl Strategy<Value = Action> {
    let sectors = (1_i64..1 << 40).prop_flat_map(|by| prop_oneof![Just(by), Just(-by)]);
    prop_oneof![
        errno().prop_map(Action::Error),
        (duration(), duration()).prop_map(|(a, b)| Action::Delay(a.min(b), a.max(b))),
        (duration(), then()).prop_map(|(max, then)| Action::Hang(max, then)),
        (1_u32..=65_536).prop_map(|bits| Action::Corrupt(How::Flip(bits))),
        any::<u8>().prop_map(|byte| Action::Corrupt(How::Fill(byte))),
        Just(Action::Corrupt(How::Zero)),
        Just(Action::Corrupt(How::Random)),
        Just(Action::Lose),
        (0_u64..=1 << 54, then()).prop_map(|(keep, then)| Action::Tear(keep, then)),
        sectors.prop_map(Action::Misdirect),
        Just(Action::Stale),
    ]
}

prop_compose! {
    fn counting()(
        skip in 0_u64..=1_000_000_000_000_000,
        every in 1_u64..=1_000_000_000_000_000,
        times in proptest::option::of(0_u64..=1_000_000_000_000_000),
        seed in proptest::option::of(any::<u64>()),
        p in proptest::option::of(0.0..=1.0),
    ) -> (u64, u64, Option<u64>, Option<u64>, Option<Probability>) {
        (skip, every, times, seed, p.and_then(Probability::new))
    }
}

prop_compose! {
    fn timing()(
        after in duration(),
        lasts in proptest::option::of(duration()),
        cycle in proptest::option::of((1_u64..1 << 40, 0_u64..1 << 40)),
    ) -> (Duration, Option<Duration>, Option<(Duration, Duration)>) {
        let micros = |(up, down)| (Duration::from_micros(up), Duration::from_micros(down));
        (after, lasts, cycle.map(micros))
    }
}

prop_compose! {
    fn rule()(
        action in action(),
        bits in 1_u8..32,
        from_guest: bool,
        at in proptest::collection::vec(sectors(), 0..4),
        size in proptest::option::of((any::<u64>(), any::<u64>())),
        (skip, every, times, seed, probability) in counting(),
        (after, lasts, cycle) in timing(),
        when in proptest::option::of("[a-z][a-z0-9._-]{0,20}"),
        tag in proptest::option::of("[A-Z][A-Z0-9._-]{0,20}"),
    ) -> Rule {
        let chosen: Vec<_> = Op::ALL.into_iter().filter(|op| bits & (1 << *op as u8) != 0).collect();
        let ops = Ops::of(&chosen).and(action.ops());
        let reserved = |tag: &String| tag == "all" || Mode::named(tag).is_some();
        Rule {
            ops: if ops.is_empty() { action.ops() } else { ops },
            at,
            size: size.map(|(a, b)| SizeRange { min: a.min(b), max: a.max(b) }),
            from_guest, skip, every, probability, seed, times, after, lasts, cycle,
            when: when.filter(|tag| !reserved(tag)),
            tag: tag.filter(|tag| !reserved(tag)),
            ..Rule::new(action)
        }
    }
}

/// Does what a disk does with a request, without the I/O.
fn do_request(set: &FaultSet, ask: IoRange) {
    let (mut seen, mut now) = (Seen::default(), NOW);
    while let Some(wait) = set.wait(ask, now, &mut seen) {
        now += wait.time;
        if wait.then != Then::Ok {
            return;
        }
    }
    match set.outcome(ask, now, &mut seen).decision {
        Some((Decision::Error(_) | Decision::Tear(_, Then::Error(_)), _)) => {}
        _ => drop(set.late_error(ask, now, &mut seen)),
    }
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_an_equal_rule(rule in rule()) {
        let text = rule.to_string();
        prop_assert_eq!(parse_rule(&text, 1), Ok(rule), "{}", text);
    }

    #[test]
    fn any_bytes_parse_or_are_rejected_in_one_line(bytes: Vec<u8>) {
        if let Err(error) = parse_edits(&bytes) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_words_parse_or_are_rejected_in_one_line(text in "(error|slow|hang|delay|!)( [a-z]{1,6}=[ -~]{0,8}){0,4}") {
        if let Err(error) = parse_edits(text.as_bytes()) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    /// The index finds what looking at every rule finds.
    #[test]
    fn a_request_meets_the_rules_that_it_overlaps(
        ranges in proptest::collection::vec((0_u64..100, 1_u64..20), 1..40),
        sector in 0_u64..110,
        count in 1_u64..30,
    ) {
        let rules: Vec<_> = ranges.iter().map(|(s, c)| format!("corrupt how=zero op=read at={s}+{c}")).collect();
        let rules: Vec<_> = rules.iter().map(String::as_str).collect();
        let set = set(&rules);
        let outcome = set.outcome(ask(Op::Read, sector, count), NOW, &mut Seen::default());
        let met: Vec<_> = outcome.changes.iter().map(|(_, armed)| armed.rule.to_string()).collect();
        let overlapping = set.rules().filter(|rule| rule.at.iter().any(|at| at.start < sector + count && sector < at.start + at.count));
        prop_assert_eq!(met, overlapping.map(Rule::to_string).collect::<Vec<_>>());
    }

    /// What is explained is what happens then, each wait for as long as it may last.
    #[test]
    fn an_explanation_is_what_happens(
        rules in proptest::collection::vec(
            "(error errno=EIO|lose|tear keep=1|corrupt how=zero|misdirect by=.8|delay by=1ms|hang max=1ms then=(ok|EIO))( at=[0-9]\\+[1-9])?( skip=[0-3])?( every=[1-3])?( times=[0-3])?( p=0\\.[1-9])?( after=[0-2]ms)?( when=[a-c])?( tag=[a-c])?",
            1..8,
        ),
        requests in proptest::collection::vec((0_usize..5, 0_u64..12, 1_u64..4), 1..20),
    ) {
        let rules: Vec<_> = rules.iter().map(|rule| rule.replace("by=.8", "by=+8").replace(['\n'], "")).collect();
        let rules: Vec<_> = rules.iter().map(String::as_str).filter(|rule| parse_rule(rule, 1).is_ok()).collect();
        let set = set(&rules);
        for (op, sector, count) in requests {
            let ask = ask(Op::ALL[op], sector, count);
            let before: Vec<_> = set.armed().iter().map(|armed| armed.fired()).collect();
            let explained: Vec<_> = set.explain(ask, NOW).iter().map(|(_, answer)| answer.is_ok()).collect();
            do_request(&set, ask);
            let fired: Vec<_> = set.armed().iter().zip(before).map(|(armed, before)| armed.fired() > before).collect();
            prop_assert_eq!(explained, fired);
        }
    }
}
