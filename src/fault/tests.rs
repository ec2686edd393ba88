//! The engine as a whole: what is armed, asked and counted.

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

fn ask(op: Op, sector: u64, sectors: u64) -> Ask {
    Ask {
        op,
        offset: sector * 512,
        len: sectors * 512,
    }
}

/// How a new request ends at `now`, if a rule decides.
fn decide_at(set: &FaultSet, ask: Ask, now: Duration) -> Option<Decision> {
    let outcome = set.outcome(ask, now, &mut Seen::default());
    outcome.decision.map(|(decision, _)| decision)
}

fn decide(set: &FaultSet, ask: Ask) -> Option<Decision> {
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
    let set = set(&["slow", "hang op=read max=5s then=ok", "delay by=10ms..20ms"]);
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
            "line 1, column 7: `errno=EOI` is no error; did you mean `EIO`?",
        ),
        (
            "error op=read",
            "line 1, column 14: `error` wants errno=, as in errno=EIO",
        ),
        (
            "eio_read at=5",
            "line 1, column 10: `at=5` wants sectors as START+COUNT",
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
            "line 1, column 6: `every=0` wants a number from 1 on",
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
    (0_u64..1 << 40).prop_map(Duration::from_micros)
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        Just(Then::Ok),
        (1..=4095).prop_map(|n| Then::Error(Errno(n)))
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let sectors = (1_i64..1 << 40).prop_flat_map(|by| prop_oneof![Just(by), Just(-by)]);
    prop_oneof![
        (1..=4095).prop_map(|n| Action::Error(Errno(n))),
        (duration(), duration()).prop_map(|(a, b)| Action::Delay(a.min(b), a.max(b))),
        (duration(), then()).prop_map(|(max, then)| Action::Hang(max, then)),
        (1_u32..=65_536).prop_map(|bits| Action::Corrupt(How::Flip(bits))),
        any::<u8>().prop_map(|byte| Action::Corrupt(How::Fill(byte))),
        Just(Action::Corrupt(How::Zero)),
        Just(Action::Corrupt(How::Random)),
        Just(Action::Lose),
        (any::<u64>(), then()).prop_map(|(keep, then)| Action::Tear(keep, then)),
        sectors.prop_map(Action::Misdirect),
        Just(Action::Stale),
    ]
}

prop_compose! {
    fn counting()(
        skip in any::<u64>(),
        every in 1..=u64::MAX,
        times in proptest::option::of(any::<u64>()),
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
        at in proptest::collection::vec((any::<u64>(), 1..=u64::MAX), 0..4),
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
            at: at.into_iter().map(|(start, count)| Sectors { start, count }).collect(),
            size: size.map(|(a, b)| SizeRange { min: a.min(b), max: a.max(b) }),
            from_guest, skip, every, probability, seed, times, after, lasts, cycle,
            when: when.filter(|tag| !reserved(tag)),
            tag: tag.filter(|tag| !reserved(tag)),
            ..Rule::new(action)
        }
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

    /// What is explained is what happens then.
    #[test]
    fn an_explanation_is_what_happens(
        rules in proptest::collection::vec(
            "(error errno=EIO|lose|tear keep=1|corrupt how=zero|misdirect by=.8|delay by=1ms)( at=[0-9]\\+[1-9])?( skip=[0-3])?( every=[1-3])?( times=[0-3])?( p=0\\.[1-9])?",
            1..6,
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
            let mut seen = Seen::default();
            while set.wait(ask, NOW, &mut seen).is_some() {}
            set.outcome(ask, NOW, &mut seen);
            let fired: Vec<_> = set.armed().iter().zip(before).map(|(armed, before)| armed.fired() > before).collect();
            prop_assert_eq!(explained, fired);
        }
    }
}
