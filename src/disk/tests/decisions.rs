//! Recorded decisions: rules at random, and their replay by rules that the recording says.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::Listener;
use crate::fault::{parse_edits, replay_at_once, replay_in_place};
use crate::protocol::{DecisionLine, DecisionsLine, Op};

/// A request of whole sectors.
#[derive(Clone, Copy, Debug)]
struct Io {
    op: Op,
    sector: u64,
    count: u64,
}

/// What a client sees of a request: its answer.
type Seen = Vec<Result>;

fn perform(bench: &Bench, io: Io) -> Result {
    let (offset, len) = (io.sector * SECTOR, io.count * SECTOR);
    answer(&bench.submit(match io.op {
        Op::Read => Request::Read {
            offset,
            len: len as u32,
        },
        Op::Write => {
            let data = pattern((offset / SECTOR) as u8, io.count as usize).into();
            Request::Write {
                offset,
                data,
                fua: None,
            }
        }
        Op::Flush => Request::Flush { data_only: false },
        Op::Discard => Request::Discard { offset, len },
        Op::Zero => Request::Zero {
            offset,
            len,
            keep_size: true,
        },
    }))
}

fn lines(listener: &Listener) -> Vec<DecisionLine<'static>> {
    let Some(text) = listener.read(1 << 30) else {
        return Vec::new();
    };
    let text = String::from_utf8(text).unwrap();
    let fired = |line: &str| match line.parse() {
        Ok(DecisionsLine::Fired(decision)) => decision,
        other => panic!("{line}: {other:?}"),
    };
    text.lines().map(fired).collect()
}

/// Serves `requests` on a new disk with these rules.
fn recorded(rules: &[String], requests: &[Io]) -> (Seen, Vec<DecisionLine<'static>>, Vec<u8>) {
    let bench = Bench::of_size(64 << 10);
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules(&rules.join("\n"));
    let seen = requests.iter().map(|io| perform(&bench, *io)).collect();
    let lines = lines(&listener);
    (seen, lines, bench.image_sectors(0, 128))
}

/// Which request each decision was about.
fn hit(lines: &[DecisionLine<'_>]) -> Vec<(Op, u64, u64)> {
    let mut hit: Vec<_> = lines
        .iter()
        .map(|line| (line.op, line.sector, line.count))
        .collect();
    hit.sort_unstable();
    hit
}

/// The same, and which request it was of those that touch the same sectors. Two rules that do the same to one are a
/// single one when they are armed again.
fn touched(lines: &[DecisionLine<'_>]) -> Vec<(Op, u64, u64, Option<u64>)> {
    let key = |line: &DecisionLine<'_>| (line.op, line.sector, line.count, line.touch);
    let mut touched: Vec<_> = lines.iter().map(key).collect();
    touched.sort_unstable();
    touched.dedup();
    touched
}

fn io() -> impl Strategy<Value = Io> {
    let ops = proptest::sample::select(Op::ALL.to_vec());
    (ops, 0_u64..60, 1_u64..20).prop_map(|(op, sector, count)| match op {
        Op::Flush => Io {
            op,
            sector: 0,
            count: 0,
        },
        _ => Io { op, sector, count },
    })
}

fn rule() -> impl Strategy<Value = String> {
    let actions = [
        "error op=read,write,flush",
        "error op=all errno=ENOSPC",
        "lose op=write,flush",
        "lose op=write,discard,zero",
        "delay op=read by=0us..200us",
        "delay op=all by=10us",
        "hang op=write max=100us then=EIO",
        "hang op=read max=50us then=ok",
        "corrupt op=read how=flip bits=3",
        "corrupt op=write how=random",
        "corrupt op=read,write how=zero",
        "tear op=write keep=1",
        "misdirect op=read,write,discard,zero by=+3",
        "stale op=read",
    ];
    let at = (0_u64..60, 1_u64..9, 1_u64..9, 1_u64..9);
    (
        proptest::sample::select(actions.to_vec()),
        proptest::option::of(at),
        proptest::option::of(0.05..0.9),
        proptest::option::of(1_u64..5),
        proptest::option::of(0_u64..6),
        proptest::option::of(1_u64..9),
        proptest::option::of(any::<u32>()),
    )
        .prop_map(|(action, at, p, every, skip, times, seed)| {
            let mut rule = action.to_owned();
            let mut add = |key: &str, value: Option<String>| {
                rule.extend(value.map(|value| format!(" {key}={value}")));
            };
            let two = |(start, len, gap, more): (u64, u64, u64, u64)| {
                format!("{start}+{len},{}+{more}", start + len + gap)
            };
            add("at", at.map(two));
            add("p", p.map(|p: f64| p.to_string()));
            let per = p.filter(|_| times.is_some());
            add("per", per.map(|_| "sector".to_owned()));
            add("every", every.map(|n| n.to_string()));
            add("skip", skip.map(|n| n.to_string()));
            add("times", times.map(|n| n.to_string()));
            add("seed", seed.map(|n| n.to_string()));
            rule
        })
}

#[test]
fn equal_faults_of_one_request_are_all_made_again() {
    let write = Io {
        op: Op::Write,
        sector: 0,
        count: 1,
    };
    let read = Io {
        op: Op::Read,
        ..write
    };
    for action in ["how=random", "how=flip bits=9", "how=zero"] {
        // The same seed: what is flipped twice is as it was.
        let rules =
            ["", " times=1", " tag=a"].map(|more| format!("corrupt op=write {action}{more}"));
        let (seen, decisions, _) = recorded(&rules, &[write, read]);
        let replay = replay_at_once(&decisions);
        let (again, repeated, _) = recorded(&replay, &[write, read]);
        assert_eq!((again, repeated.len()), (seen, 3), "{replay:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decisions_armed_again_at_once_do_the_same_to_the_same_requests(
        rules in proptest::collection::vec(rule(), 1..6),
        requests in proptest::collection::vec(io(), 1..80),
    ) {
        let (seen, decisions, image) = recorded(&rules, &requests);
        let replay = replay_at_once(&decisions);
        prop_assert_eq!(replay.len(), decisions.len());
        let (again, repeated, same) = recorded(&replay, &requests);
        prop_assert_eq!(touched(&repeated), touched(&decisions), "{:#?}", replay);
        prop_assert_eq!(again, seen, "{:#?}", replay);
        prop_assert_eq!(same, image, "{:#?}", replay);
    }

    #[test]
    fn decisions_armed_in_the_place_of_their_rules_are_the_chosen_ones(
        rules in proptest::collection::vec(rule(), 1..5),
        requests in proptest::collection::vec(io(), 1..60),
        chosen in proptest::collection::vec(any::<bool>(), 400),
    ) {
        // Which requests reach the rules after it depends on how a hang ends.
        let rules: Vec<_> = rules.into_iter().filter(|rule| !rule.contains("hang")).collect();
        let (_, decisions, _) = recorded(&rules, &requests);
        let chosen = |at: usize| chosen[at % chosen.len()];
        let replay = replay_in_place(&decisions, chosen);
        let replay: Vec<_> = replay.into_values().flat_map(|replayed| replayed.faults).collect();
        let (_, repeated, _) = recorded(&replay, &requests);
        let meant: Vec<_> = decisions.iter().enumerate().filter(|(at, _)| chosen(*at)).collect();
        let meant: Vec<_> = meant.into_iter().map(|(_, line)| line.clone()).collect();
        prop_assert_eq!(hit(&repeated), hit(&meant), "{:#?}\n{:#?}", decisions, replay);
    }
}

#[test]
fn touch_is_counted_since_the_rule_was_armed() {
    let bench = Bench::new();
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules("error op=read at=50+1");
    for _ in 0..3 {
        bench.read_sectors(0, 4).unwrap();
    }
    let later = parse_edits(b"error op=read at=0+1 skip=2").unwrap();
    bench.disk.arm(&later, false).unwrap();
    bench.read_sectors(3, 1).unwrap();
    bench.read_sectors(0, 2).unwrap();
    bench.read_sectors(0, 1).unwrap();
    bench.read_sectors(0, 4).unwrap_err();
    let lines = lines(&listener);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (lines[0].touch, lines[0].rule_id, lines[0].since),
        (Some(4), 1, 0)
    );
    let replay = lines[0].replay.as_deref();
    assert_eq!(
        replay,
        Some("error op=read errno=EIO at=0+4 skip=3 times=1")
    );
}

#[test]
fn touch_of_a_request_that_waits_is_its_place_at_the_stage_of_the_rule() {
    let bench = Bench::new();
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules("hang op=write then=ok times=1 tag=h\nerror op=write skip=1 times=1");
    let held = bench.write(1);
    answer(&bench.write(2)).unwrap();
    assert_eq!(
        bench.disk.release(Some("h"), crate::fault::Then::Ok),
        Some(1)
    );
    answer(&held).unwrap_err();
    let touches: Vec<_> = lines(&listener).iter().map(|line| line.touch).collect();
    assert_eq!(touches, [Some(1), Some(2)]);
}

#[test]
fn touch_of_a_rule_that_was_armed_while_a_request_waited_counts_it() {
    let bench = Bench::new();
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules("hang op=write then=ok times=1 tag=h\ndelay op=write by=0us skip=100");
    let held = bench.write(1);
    let late = parse_edits(b"delay op=write by=1us skip=1 times=1").unwrap();
    bench.disk.arm(&late, false).unwrap();
    bench.disk.release(Some("h"), crate::fault::Then::Ok);
    answer(&held).unwrap();
    answer(&bench.write(2)).unwrap();
    let touches: Vec<_> = lines(&listener).iter().map(|line| line.touch).collect();
    assert_eq!(touches, [Some(1), Some(2)]);
}

#[test]
fn touches_are_not_known_any_more_after_too_many_requests_and_the_stream_says_so() {
    let bench = Bench::new();
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules("error op=read skip=1100 times=1");
    for _ in 0..1101 {
        let _ = bench.read_sectors(0, 1);
    }
    let text = String::from_utf8(listener.read(1 << 20).unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("# too many requests to count"),
        "{text}"
    );
    assert!(
        lines[1].contains(" touch=- ") && lines[1].contains(" -> - note: there were too many"),
        "{text}"
    );
    bench.rules("error op=read skip=1 times=1");
    let _ = (bench.read_sectors(0, 1), bench.read_sectors(0, 1));
    let line = String::from_utf8(listener.read(1 << 20).unwrap()).unwrap();
    assert!(line.contains(" touch=2 "), "{line}");
}

#[test]
fn nothing_is_counted_without_a_reader() {
    let bench = Bench::new();
    bench.rules("error op=read skip=2 times=1");
    bench.read_sectors(0, 1).unwrap();
    let listener = bench.disk.decisions().listen().unwrap();
    drop(listener);
    bench.read_sectors(0, 1).unwrap();
    assert!(bench.disk.decisions().recorder().is_none());
    let listener = bench.disk.decisions().listen().unwrap();
    bench.read_sectors(0, 1).unwrap_err();
    assert_eq!(lines(&listener)[0].touch, Some(1));
}

#[test]
fn error_that_came_after_the_io_says_that_its_replay_acts_before() {
    let bench = Bench::new();
    let listener = bench.disk.decisions().listen().unwrap();
    let read = Request::Read {
        offset: 0,
        len: 512,
    };
    with_rules_during_io(&bench, "eio_read", read).unwrap_err();
    let line = &lines(&listener)[0];
    assert_eq!(line.touch, Some(1));
    assert!(
        line.note
            .as_deref()
            .unwrap()
            .starts_with("it acted after the I/O")
    );
}

#[test]
fn decisions_of_many_threads_have_the_numbers_of_their_order() {
    let bench = Arc::new(Bench::new());
    let listener = bench.disk.decisions().listen().unwrap();
    bench.rules("error op=read p=0.5 seed=7");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| drop(bench.read_sectors(0, 1))));
        }
    });
    let touches: Vec<_> = lines(&listener)
        .iter()
        .map(|line| line.touch.unwrap())
        .collect();
    assert!(touches.is_sorted_by(|a, b| a < b), "{touches:?}");
    let alone = Bench::new();
    let listener = alone.disk.decisions().listen().unwrap();
    alone.rules("error op=read p=0.5 seed=7");
    (0..1000).for_each(|_| drop(alone.read_sectors(0, 1)));
    let expected: Vec<_> = lines(&listener)
        .iter()
        .map(|line| line.touch.unwrap())
        .collect();
    assert_eq!(touches, expected);
}
