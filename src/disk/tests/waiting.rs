//! Requests that wait: delayed, held, dropped, released.

use std::time::Duration;

use super::*;
use crate::disk::MOST_HELD;
use crate::fault::{Edit, Then, parse_edits, parse_rule};

#[test]
fn requests_in_their_io_and_those_that_wait_are_in_flight() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        scope.spawn(|| seen(|| answer(&bench.read())));
        until(|| bench.image.touched() > 0);
        let rule = parse_rule("delay op=write by=1h", 1).unwrap();
        bench.disk.arm(&[Edit::Add(rule)], false).unwrap();
        let write = bench.write(1);
        let lines: Vec<_> = bench
            .disk
            .in_flight()
            .iter()
            .map(ToString::to_string)
            .collect();
        let without_age = |line: &String| {
            let words: Vec<_> = line.split(' ').collect();
            [&words[..3], &words[4..]].concat().join(" ")
        };
        let lines: Vec<_> = lines.iter().map(without_age).collect();
        assert_eq!(lines, ["read 0 1 -", "write 0 1 delay op=write by=1h"]);
        drop(stuck);
        bench.disk.clear();
        answer(&write).unwrap();
    });
    assert!(bench.disk.in_flight().is_empty());
}

#[test]
fn clear_lets_what_waits_go_on_at_once() {
    let bench = Bench::new();
    bench.delay_reads("1m");
    let reads: Vec<_> = (0..1000).map(|_| bench.read()).collect();
    bench.disk.clear();
    for read in &reads {
        assert_eq!(answer(read), Ok(vec![0; 512]));
    }
}

#[test]
fn requests_that_wait_at_the_end_are_answered() {
    let bench = Bench::new();
    bench.delay_reads("1m");
    let read = bench.read();
    bench.delays.end();
    assert_eq!(answer(&read), EIO);
    assert_eq!(answer(&bench.read()), EIO, "and so is what comes later");
}

#[test]
fn dropped_request_fails_and_is_not_done_whether_it_was_held_or_delayed() {
    let bench = Bench::new();
    for rule in ["hang op=write tag=a", "delay op=write by=5m"] {
        let rule = parse_rule(rule, 1).unwrap();
        bench.disk.arm(&[Edit::Add(rule)], true).unwrap();
        let waiting = bench.write(7);
        assert_eq!(bench.disk.drop_waiting(Some("b")), None);
        assert_eq!(bench.disk.drop_waiting(None), Some(1));
        assert_eq!(answer(&waiting), EIO);
    }
    assert_eq!(bench.image.touched(), 0);
}

#[test]
fn write_that_waits_twice_reserves_memory_once() {
    let bench = Bench::new();
    let mut others = bench.delays.memory().reservation();
    others.grow(MOST_HELD - 512).unwrap();
    let rules = ["delay op=write by=1ms", "hang op=write tag=h"];
    let edits = rules.map(|rule| Edit::Add(parse_rule(rule, 1).unwrap()));
    bench.disk.arm(&edits, false).unwrap();
    let write = bench.write(7);
    until(|| bench.stat("write_held") > 0);
    assert_eq!(bench.disk.held_bytes(), MOST_HELD);
    assert_eq!(answer(&bench.write(8)), Err(Errno::ENOMEM));
    bench.disk.release(Some("h"), Then::Ok);
    assert_eq!(answer(&write), Ok(vec![]));
    drop(others);
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn hang_is_released_after_the_delays_and_not_before() {
    let bench = Bench::new();
    bench.rules("hang op=read\ndelay op=read by=1h");
    let read = bench.read();
    assert_eq!(
        bench.disk.release(None, Then::Ok),
        Some(0),
        "it is only delayed"
    );
    bench.end_delay("1h");
    until(|| bench.stat("read_held") == 1);
    assert_eq!(bench.disk.release(None, Then::Ok), Some(1));
    assert_eq!(answer(&read), Ok(vec![0; 512]));
    bench.rules("hang op=read\ndelay op=read by=200ms");
    let read = bench.read();
    until(|| bench.stat("read_held") == 2);
    assert!(bench.disk.in_flight()[0].age >= Duration::from_millis(200));
    assert_eq!(bench.disk.release(None, Then::Ok), Some(1));
    assert_eq!(answer(&read), Ok(vec![0; 512]));
}

#[test]
fn hang_is_ended_by_a_tag_by_all_by_an_error_and_by_its_own_end() {
    let bench = Bench::new();
    bench.rules("hang op=read tag=a\nhang op=write max=30ms then=ENOSPC");
    let held = bench.submit(Request::Read {
        offset: 0,
        len: 512,
    });
    assert_eq!(
        bench.write_sectors(0, &[1; 512]),
        Err(Errno(libc::ENOSPC)),
        "after 30 ms"
    );
    assert_eq!(bench.disk.in_flight().len(), 1);
    assert_eq!(
        bench.disk.release(Some("b"), Then::Ok),
        None,
        "nothing has the tag"
    );
    assert_eq!(bench.disk.release(Some("a"), Then::Ok), Some(1));
    assert_eq!(answer(&held), Ok(vec![0; 512]));
    let held: Vec<_> = (0..1000)
        .map(|_| {
            bench.submit(Request::Read {
                offset: 0,
                len: 512,
            })
        })
        .collect();
    assert_eq!(
        bench.disk.release(None, Then::Error(Errno(libc::ENXIO))),
        Some(1000)
    );
    assert!(
        held.iter()
            .all(|read| answer(read) == Err(Errno(libc::ENXIO)))
    );
    assert_eq!(bench.stat("read_held"), 1001);
}

#[test]
fn write_held_beyond_the_limit_is_enomem_and_memory_comes_back() {
    const PIECE: usize = 1 << 20;
    let bench = Bench::of_size(PIECE);
    bench.rules("hang op=write");
    let write = || {
        bench.submit(Request::Write {
            offset: 0,
            data: vec![0; PIECE].into(),
            fua: None,
        })
    };
    let fitting = MOST_HELD / PIECE as u64;
    let held: Vec<_> = (0..fitting).map(|_| write()).collect();
    assert_eq!(bench.disk.held_bytes(), MOST_HELD);
    assert_eq!(answer(&write()), Err(Errno(libc::ENOMEM)));
    assert_eq!(bench.stat("write_errors_host"), 1);
    bench.rules("");
    assert!(held.iter().all(|write| answer(write).is_ok()));
    until(|| bench.disk.held_bytes() == 0);
}

#[test]
fn hang_that_is_disarmed_lets_go_what_it_holds() {
    let bench = Bench::new();
    bench.rules("hang op=read\nhang op=write");
    let read = bench.submit(Request::Read {
        offset: 0,
        len: 512,
    });
    let edits = parse_edits(b"!hang op=read").unwrap();
    bench.disk.arm(&edits, false).unwrap();
    assert_eq!(answer(&read), Ok(vec![0; 512]));
}

#[test]
fn request_that_is_counted_as_held_or_fired_is_listed_and_can_be_released() {
    let bench = Bench::new();
    bench.rules("hang op=read tag=a");
    let fired = || bench.disk.rules()[0].counts.fired;
    let held = || bench.stat("read_held");
    std::thread::scope(|scope| {
        for round in 1..=1000 {
            let waiting = scope.spawn(|| answer(&bench.read()));
            until(|| match round % 2 {
                0 => fired() == round,
                _ => held() == round,
            });
            if round % 3 == 0 {
                assert_eq!(bench.disk.in_flight_count(), 1, "round {round}");
                assert_eq!(bench.disk.in_flight()[0].rules.len(), 1);
            }
            let released = bench.disk.release(Some("a"), Then::Ok);
            assert_eq!(released, Some(1), "round {round}");
            assert_eq!(waiting.join().unwrap(), Ok(vec![0; 512]));
        }
    });
    assert_eq!(bench.disk.in_flight_count(), 0);
}

#[test]
fn request_that_waits_is_listed_wherever_it_moves_until_it_is_counted_as_answered() {
    let bench = Bench::new();
    bench.rules("delay op=read by=20us\ndelay op=read by=40us");
    for round in 1..=2000 {
        let read = bench.read();
        until(|| bench.disk.in_flight().is_empty());
        assert_eq!(bench.stat("read_answered"), round);
        assert_eq!(answer(&read), Ok(vec![0; 512]));
    }
}

#[test]
fn request_that_was_released_is_listed_without_its_rule_until_it_is_answered() {
    let bench = Bench::new();
    bench.rules("hang op=read");
    let read = bench.read();
    assert_eq!(bench.disk.in_flight()[0].rules.len(), 1);
    let stuck = bench.stick();
    bench.disk.release(None, Then::Ok);
    let listed = bench.disk.in_flight();
    assert_eq!((listed.len(), listed[0].rules.len()), (1, 0));
    drop(stuck);
    answer(&read).unwrap();
    assert_eq!(bench.disk.in_flight_count(), 0);
}
