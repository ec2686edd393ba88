//! Switching rules, rules for guests alone, and many rules.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::fault::{Edit, Mode, Then, parse_edits, parse_rule};
use crate::protocol::Switch;

#[test]
fn rules_that_are_off_neither_act_nor_count_and_what_waits_for_them_waits_on() {
    let bench = Bench::new();
    let rule = parse_rule("hang op=read tag=a times=1", 1).unwrap();
    bench.disk.arm(&[Edit::Add(rule)], false).unwrap();
    let waiting = bench.read();
    bench.disk.switch_rules(Switch::Off);
    bench.arm(Mode::EioRead);
    assert_eq!(answer(&bench.read()), Ok(vec![0; 512]));
    assert!(waiting.is_empty());
    let counts = |bench: &Bench| {
        let rules = bench.disk.rules();
        rules
            .iter()
            .map(|rule| rule.counts.considered)
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&bench), [1, 0]);
    bench.disk.switch_rules(Switch::On);
    assert_eq!(answer(&bench.read()), EIO);
    assert_eq!(counts(&bench), [2, 1]);
    assert_eq!(bench.disk.release(Some("a"), Then::Ok), Some(1));
    assert_eq!(answer(&waiting), EIO, "`eio_read` meets it now");
}

/// A test that has the disk of `bench` open, too.
fn test_of(bench: &Bench) -> Bench {
    let test = Bench {
        client: bench.disk.open().unwrap(),
        disk: Arc::clone(&bench.disk),
        image: Arc::clone(&bench.image),
        delays: Arc::clone(&bench.delays),
    };
    test.disk.set_test(test.client);
    test
}

#[test]
fn rule_for_guests_passes_the_requests_of_a_test_by() {
    let bench = Bench::new();
    let test = test_of(&bench);
    let rules = [
        "error op=read errno=EIO client=guest skip=1",
        "hang op=write client=guest",
    ];
    let edits = rules.map(|rule| Edit::Add(parse_rule(rule, 1).unwrap()));
    bench.disk.arm(&edits, false).unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&test.read()), Ok(vec![0; 512]));
    }
    assert_eq!(answer(&test.write(7)), Ok(vec![]));
    assert_eq!(
        bench.disk.rules()[0].counts.considered,
        0,
        "nor does it count them"
    );
    assert_eq!(answer(&bench.read()), Ok(vec![7; 512]));
    assert_eq!(answer(&bench.read()), EIO);
    let held = bench.write(8);
    assert_eq!(bench.disk.in_flight_count(), 1);
    bench.disk.clear();
    assert_eq!(answer(&held), Ok(vec![]));
}

#[test]
fn rule_for_the_host_passes_the_requests_of_others_by() {
    let bench = Bench::new();
    let test = test_of(&bench);
    let rule = parse_rule("error op=read errno=EIO client=host skip=1", 1).unwrap();
    bench.disk.arm(&[Edit::Add(rule)], false).unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&bench.read()), Ok(vec![0; 512]));
    }
    assert_eq!(bench.disk.rules()[0].counts.considered, 0);
    assert_eq!(answer(&test.read()), Ok(vec![0; 512]));
    assert_eq!(answer(&test.read()), EIO);
    assert_eq!(answer(&bench.read()), Ok(vec![0; 512]));
}

#[test]
fn rule_for_guests_that_is_armed_during_the_io_of_a_test_passes_it_by() {
    let bench = Bench::new();
    bench.disk.set_test(bench.client);
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        let read = scope.spawn(|| answer(&bench.read()));
        until(|| bench.image.touched() > 0);
        let rule = parse_rule("eio_read client=guest", 1).unwrap();
        bench.disk.arm(&[Edit::Add(rule)], false).unwrap();
        drop(stuck);
        assert_eq!(read.join().unwrap(), Ok(vec![0; 512]));
    });
}

/// How long this thread has had a processor so far.
fn time_used() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = schedstat.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

/// How long it takes to arm the lines `line(from)` to `line(to - 1)` at once.
fn time_to_arm(bench: &Bench, from: u64, to: u64, line: &dyn Fn(u64) -> String) -> Duration {
    let lines: String = (from..to).map(|n| line(n) + "\n").collect();
    let edits = parse_edits(lines.as_bytes()).unwrap();
    let before = time_used();
    bench.disk.arm(&edits, false).unwrap();
    time_used() - before
}

#[test]
fn edits_by_the_thousand_beside_ten_thousand_rules_take_no_time() {
    let rule = |n| format!("eio_read at={n}+1 tag=t{n}");
    let few = || {
        let bench = Bench::new();
        time_to_arm(&bench, 0, 100, &rule)
    };
    let many = || {
        let bench = Bench::new();
        time_to_arm(&bench, 0, 10_000, &rule);
        let took = time_to_arm(&bench, 9000, 12_400, &rule)
            + time_to_arm(&bench, 0, 2400, &|n| format!("!t{n}"))
            + time_to_arm(&bench, 2400, 4800, &|n| format!("!{}", rule(n)));
        assert_eq!(bench.disk.rules().len(), 12_400 - 4800);
        took
    };
    // The times of as many edits: 5, and 50 if each looks for a rule among all others.
    let times = || {
        let few: Duration = (0..82).map(|_| few()).sum();
        many().as_secs_f64() / few.as_secs_f64()
    };
    let all: Vec<_> = (0..10)
        .map(|_| times())
        .take_while(|times| *times >= 20.0)
        .collect();
    assert!(all.len() < 10, "{all:?}");
}
