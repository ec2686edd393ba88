//! Requests that wait for a `limit`.

use std::time::Duration;

use super::cache::power_cut;
use super::*;
use crate::disk::power::mains::Mains;
use crate::fault::{Armed, Then};

impl Bench {
    /// The rules that each request waits for, the longest waiting first.
    fn waiting_for(&self) -> Vec<String> {
        let all = self.disk.in_flight().into_iter();
        all.map(|request| Armed::texts(&request.rules).into_owned())
            .collect()
    }

    fn held(&self) -> u64 {
        self.stat("read_held")
    }
}

#[test]
fn lanes_let_so_many_pass_and_the_next_when_one_is_answered() {
    let bench = Bench::new();
    bench.rules("limit op=read lanes=2\nhang op=read max=1h");
    let reads: Vec<_> = (0..6).map(|_| bench.read()).collect();
    for passed in [2, 4, 6] {
        until(|| bench.held() == passed);
        let mut waiting = bench.waiting_for();
        waiting.sort();
        let hanging = vec!["hang op=read max=1h then=EIO"; 2];
        let limited = vec!["limit op=read lanes=2"; 6 - passed as usize];
        assert_eq!(waiting, [hanging, limited].concat());
        assert_eq!(bench.disk.release(None, Then::Ok), Some(2));
    }
    for read in &reads {
        assert_eq!(answer(read), Ok(vec![0; 512]));
    }
    assert_eq!(
        bench.stat("read_delayed"),
        4,
        "two have never waited for a lane"
    );
}

#[test]
fn lane_is_free_again_however_its_request_ends() {
    let bench = Bench::new();
    bench.rules("limit op=read lanes=1\nerror op=read at=0+1\nhang op=read at=1+1 max=1h");
    assert_eq!(answer(&bench.read()), EIO, "by an error");
    assert_eq!(answer(&bench.read()), EIO);
    let held = |sector: u64| {
        let offset = sector * SECTOR;
        bench.submit(Request::Read { offset, len: 512 })
    };
    let (dropped, queued) = (held(1), held(2));
    until(|| bench.held() == 1);
    assert_eq!(
        bench.disk.drop_waiting(None),
        Some(2),
        "one hangs and one waits for the lane"
    );
    assert_eq!((answer(&dropped), answer(&queued)), (EIO, EIO));
    assert_eq!(bench.read_sectors(2, 1), Ok(vec![0; 512]));
    let (cut, queued) = (held(1), held(2));
    until(|| bench.held() == 2);
    let under_way = Mains::default().begin_cut(Some(&bench.disk));
    under_way.finish(&power_cut("cut"), None, || ()).unwrap();
    assert_eq!((answer(&cut), answer(&queued)), (EIO, EIO));
    assert!(bench.disk.return_power());
    assert_eq!(bench.read_sectors(2, 1), Ok(vec![0; 512]));
}

#[test]
fn ten_thousand_requests_wait_for_a_lane_and_are_served_in_their_order_or_let_go() {
    let bench = Bench::new();
    bench.rules("limit op=write lanes=1\nhang op=write at=8+1 max=1h");
    let first = bench.submit(Request::Write {
        offset: 8 * SECTOR,
        data: vec![1; 512].into(),
        fua: None,
    });
    until(|| bench.stat("write_held") == 1);
    let writes: Vec<_> = (0..10_000_u32).map(|n| bench.write(n as u8)).collect();
    assert_eq!(bench.disk.in_flight_count(), 10_001);
    bench.disk.release(None, Then::Ok);
    answer(&first).unwrap();
    for write in &writes {
        answer(write).unwrap();
    }
    assert_eq!(
        bench.image_sectors(0, 1),
        vec![9999_u32 as u8; 512],
        "the last one"
    );
    let first = bench.submit(Request::Write {
        offset: 8 * SECTOR,
        data: vec![1; 512].into(),
        fua: None,
    });
    until(|| bench.stat("write_held") == 2);
    let writes: Vec<_> = (0..10_000_u32).map(|_| bench.write(7)).collect();
    bench.disk.clear();
    assert_eq!(answer(&first), Ok(vec![]));
    assert!(writes.iter().all(|write| answer(write) == Ok(vec![])));
}

#[test]
fn requests_that_are_dropped_are_not_paid_for_by_those_that_come_later() {
    let bench = Bench::new();
    bench.rules("limit op=read iops=1");
    let reads: Vec<_> = (0..1000).map(|_| bench.read()).collect();
    answer(&reads[0]).unwrap();
    bench.disk.drop_waiting(None);
    let dropped = reads[1..].iter().filter(|read| answer(read) == EIO).count();
    assert!(dropped > 900, "{dropped}");
    // It would wait for a quarter of an hour.
    assert_eq!(answer(&bench.read()), Ok(vec![0; 512]));
}

#[test]
fn removed_limit_and_the_end_let_what_waits_go() {
    let bench = Bench::new();
    bench.rules("limit op=read iops=1 tag=cap\nlimit op=write lanes=1\nhang op=write max=1h");
    let reads: Vec<_> = (0..1000).map(|_| bench.read()).collect();
    let edits = parse_edits(b"!cap").unwrap();
    bench.disk.arm(&edits, false).unwrap();
    assert!(reads.iter().all(|read| answer(read) == Ok(vec![0; 512])));
    let writes = [bench.write(1), bench.write(2)];
    until(|| bench.stat("write_held") == 1);
    bench.delays.end();
    assert_eq!(writes.map(|write| answer(&write)), [EIO, EIO]);
}

#[test]
fn limit_takes_at_least_its_time_and_another_disk_none() {
    let bench = Bench::new();
    let other = Bench::on(Arc::clone(&bench.delays));
    bench.rules("limit op=read iops=1000");
    let begun = Instant::now();
    let reads: Vec<_> = (0..301).map(|_| bench.read()).collect();
    assert_eq!(answer(&other.read()), Ok(vec![0; 512]));
    assert_eq!(other.stat("read_delayed"), 0);
    assert!(reads.iter().all(|read| answer(read).is_ok()));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.disk.rules()[0].counts.fired, 301);
}
