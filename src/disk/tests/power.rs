//! Power cuts that meet something else: waiting requests, other cuts, a switch of the cache, storage that is stuck.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::{cached, power_cut};
use super::*;
use crate::disk::power::all::CutUnderWay;
use crate::disk::power::mains::Mains;
use crate::protocol::{CacheMode, PowerState};

impl Bench {
    fn begin_cut(&self) -> CutUnderWay {
        Mains::default().begin_cut(Some(&self.disk))
    }

    fn is_off(&self) -> bool {
        matches!(self.disk.power(), PowerState::Off(_))
    }
}

/// Sends the number of bytes that were done.
struct Length(Sender<u64>);

impl Reply for Length {
    fn send(self, result: std::result::Result<Answer<'_>, Errno>) {
        if let Ok(Answer::Done(len)) = result {
            self.0.send(len).unwrap();
        }
    }
}

#[test]
fn request_that_arrived_before_a_cut_fails_even_if_the_power_is_back_when_it_goes_on() {
    let bench = Bench::on(Arc::new(Delays::start(Arc::new(Pool::new(1))).unwrap()));
    let (tx, busy) = bounded::<()>(0);
    let pool = bench.delays.pool();
    pool.run(bench.disk.owner(), move || assert!(busy.recv().is_err()));
    let under_way = bench.begin_cut();
    let write = bench.write(7);
    under_way.finish(&power_cut("cut"), None, || ()).unwrap();
    assert!(bench.disk.return_power());
    drop(tx);
    assert_eq!(answer(&write), EIO);
    assert_eq!(bench.image_sectors(0, 1), pattern(0, 1));
    assert_eq!(bench.stat("write_errors_injected"), 0);
    assert_eq!(answer(&bench.write(8)), Ok(Vec::new()));
}

#[test]
fn request_that_begins_to_wait_while_the_power_is_cut_does_not_outlive_the_cut() {
    let bench = Bench::new();
    bench.rules("hang op=write max=1h");
    for round in 0..100 {
        let stops = AtomicBool::new(false);
        let writes = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut all = Vec::new();
                while !stops.load(Ordering::SeqCst) && all.len() < 500 {
                    let data = vec![1; 1 << 18].into();
                    let (offset, fua) = (0, None);
                    all.push(bench.submit(Request::Write { offset, data, fua }));
                }
                all
            });
            std::thread::sleep(Duration::from_micros(500 + 37 * round));
            bench.cut("cut");
            stops.store(true, Ordering::SeqCst);
            writer.join().unwrap()
        });
        assert!(writes.iter().all(|write| answer(write) == EIO));
        assert!(bench.disk.return_power());
    }
}

#[test]
fn cut_that_is_given_up_lets_those_go_on_that_have_waited_for_it() {
    let bench = cached();
    let under_way = bench.begin_cut();
    let write = bench.write(7);
    assert!(write.is_empty());
    drop(under_way);
    assert_eq!(answer(&write), Ok(Vec::new()));
    let under_way = bench.begin_cut();
    let refused = under_way.finish(&power_cut("cut keep=only=9"), None, || ());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("no request with the number 9 is pending"));
    assert!(!bench.is_off());
    assert_eq!(answer(&bench.write(8)), Ok(Vec::new()));
}

#[test]
fn rule_cuts_the_power_even_if_no_request_has_a_number_that_it_keeps() {
    let bench = cached();
    bench.rules("cut op=flush scope=disk keep=only=2,9");
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.write_sectors(1, &pattern(2, 1)).unwrap();
    assert_eq!(bench.flush(), EIO);
    assert!(bench.is_off());
    assert_eq!(
        bench.image_sectors(0, 2),
        [vec![0; 512], pattern(2, 1)].concat()
    );
}

#[test]
fn rule_without_a_seed_draws_another_one_at_each_cut_and_the_same_in_the_same_run() {
    let seeds = || -> Vec<_> {
        let bench = cached();
        bench.disk.set_seed(5);
        bench.rules("cut op=flush scope=disk keep=random");
        let cut = |_| {
            assert_eq!(bench.flush(), EIO);
            let PowerState::Off(report) = bench.disk.power() else {
                panic!("the power is on");
            };
            assert!(bench.disk.return_power());
            report.seed
        };
        (0..3).map(cut).collect()
    };
    let drawn = seeds();
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2], "{drawn:?}");
    assert_eq!(seeds(), drawn);
}

#[test]
fn synchronous_write_whose_flush_is_the_last_request_is_answered_with_its_length() {
    let bench = Bench::new();
    bench.rules("cut op=flush scope=disk point=after");
    let (tx, lengths) = bounded(1);
    let (offset, data, fua) = (0, vec![1; 512].into(), Some(Fua::Data));
    let write = Request::Write { offset, data, fua };
    bench.disk.submit(write, bench.origin(), Length(tx));
    assert_eq!(lengths.recv_timeout(Duration::from_secs(60)), Ok(512));
}

#[test]
fn cut_during_a_switch_of_the_cache_comes_after_the_switch() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    let touched = bench.image.touched();
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        let switch = scope.spawn(|| bench.disk.set_cache_mode(CacheMode::Off));
        until(|| bench.image.touched() > touched);
        let under_way = bench.begin_cut();
        assert!(!under_way.is_empty());
        let cut = scope.spawn(|| under_way.finish(&power_cut("cut"), None, || ()));
        drop(stuck);
        switch.join().unwrap().unwrap();
        cut.join().unwrap().unwrap();
    });
    assert!(bench.is_off());
    assert_eq!(
        bench.image_sectors(0, 1),
        pattern(1, 1),
        "it was durable before"
    );
    let refused = bench.disk.set_cache_mode(CacheMode::Volatile).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("the power of `vda` is off: write `on`")
    );
    assert_eq!(refused.errno(), Errno::EIO);
}

#[test]
fn nothing_but_what_was_stuck_reaches_the_image_after_a_cut_and_later_writes_are_seen() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 2)).unwrap();
    bench.write_sectors(2, &pattern(3, 2)).unwrap();
    let touched = bench.image.touched();
    let flush = std::thread::scope(|scope| {
        let stuck = bench.stick();
        let flush = scope.spawn(|| bench.flush());
        until(|| bench.image.touched() > touched);
        let behind = bench.submit(Request::Flush { data_only: false });
        let failed = bench.begin_cut().finish(&power_cut("cut"), None, || ());
        assert!(
            failed
                .unwrap_err()
                .to_string()
                .contains("`vda` is off, but")
        );
        drop(stuck);
        assert_eq!(answer(&behind), EIO);
        flush.join().unwrap()
    });
    assert_eq!(flush, EIO, "what was behind its first write is not durable");
    let expected = [pattern(1, 2), vec![0; 1024]].concat();
    assert_eq!(bench.image_sectors(0, 4), expected);
    assert!(bench.disk.return_power());
    for sector in 0..4 {
        bench.write_sectors(sector, &pattern(9, 1)).unwrap();
        assert_eq!(bench.read_sectors(sector, 1), Ok(pattern(9, 1)));
    }
}

#[test]
fn stale_rule_shows_what_the_cut_has_taken_away() {
    let bench = cached();
    bench.write_sectors(3, &pattern(5, 1)).unwrap();
    bench.rules("stale at=3+1");
    bench.cut("cut");
    assert!(bench.disk.return_power());
    assert_eq!(bench.image_sectors(3, 1), pattern(0, 1));
    assert_eq!(bench.read_sectors(3, 1), Ok(pattern(5, 1)));
}

#[test]
fn garbage_is_for_writes_alone() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 8)).unwrap();
    bench.flush().unwrap();
    let (offset, len) = (0, 1 << 40);
    answer(&bench.submit(Request::Discard { offset, len })).unwrap();
    bench.write_sectors(8, &pattern(9, 1)).unwrap();
    assert_eq!(bench.cut("cut garbage=1"), (0, 2));
    assert_eq!(bench.image_sectors(0, 8), pattern(1, 8));
    assert_ne!(bench.image_sectors(8, 1), pattern(0, 1));
    let lines = bench.damage();
    let lines: Vec<_> = lines.lines().map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(lines, [Some("lost"), Some("garbage")]);
}

#[test]
fn power_is_told_to_be_off_from_the_answer_of_the_last_request_on() {
    let bench = cached();
    bench.rules("cut op=write point=after scope=disk");
    for _ in 0..50 {
        bench.write_sectors(0, &pattern(1, 1)).unwrap();
        assert!(bench.is_off());
        assert!(bench.disk.return_power());
        assert!(!bench.is_off());
    }
}
