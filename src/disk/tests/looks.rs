//! When the faults of a disk are looked at, and how its requests are answered.

use std::time::{Duration, Instant};

use super::*;
use crate::fault::{Edit, Mode};

#[test]
fn disk_without_faults_reads_what_was_written() {
    let bench = Bench::new();
    assert_eq!(answer(&bench.write(7)), Ok(vec![]));
    assert_eq!(answer(&bench.read()), Ok(vec![7; 512]));
}

#[test]
fn eio_read_fails_a_read_and_leaves_the_image_alone() {
    let bench = Bench::new();
    bench.arm(Mode::EioRead);
    assert_eq!(answer(&bench.read()), EIO);
    assert_eq!(bench.image.touched(), 0);
    assert_eq!(
        answer(&bench.write(1)),
        Ok(vec![]),
        "writes are not its business"
    );
}

#[test]
fn eio_write_leaves_the_old_content() {
    let bench = Bench::new();
    answer(&bench.write(7)).unwrap();
    bench.arm(Mode::EioWrite);
    assert_eq!(answer(&bench.write(8)), EIO);
    let zero = Request::Zero {
        offset: 0,
        len: 512,
        keep_size: true,
    };
    assert_eq!(answer(&bench.submit(zero)), EIO);
    assert_eq!(answer(&bench.read()), Ok(vec![7; 512]));
}

#[test]
fn slow_waits_fifty_milliseconds_off_the_callers_thread() {
    let bench = Bench::new();
    bench.arm(Mode::Slow);
    let started = Instant::now();
    answer(&bench.read()).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(bench.stat("read_delayed"), 1);
    bench.delay_reads("1m");
    drop(bench.read());
}

#[test]
fn error_armed_during_a_delay_takes_effect() {
    let bench = Bench::new();
    bench.delay_reads("1h");
    let read = bench.read();
    bench.arm(Mode::EioRead);
    bench.end_delay("1h");
    assert_eq!(answer(&read), EIO);
    assert_eq!(bench.image.touched(), 0);
}

#[test]
fn error_cleared_during_a_delay_does_not_take_effect() {
    let bench = Bench::new();
    bench.delay_reads("1h");
    bench.arm(Mode::EioRead);
    let read = bench.read();
    bench
        .disk
        .arm(&[Edit::Remove(Mode::EioRead.rule())], false)
        .unwrap();
    bench.end_delay("1h");
    assert_eq!(answer(&read), Ok(vec![0; 512]));
}

#[test]
fn error_armed_during_the_io_takes_effect() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        let read = scope.spawn(|| answer(&bench.read()));
        until(|| bench.image.touched() > 0);
        bench.arm(Mode::EioRead);
        drop(stuck);
        assert_eq!(read.join().unwrap(), EIO);
    });
}

#[test]
fn error_armed_during_the_io_of_a_read_that_no_rule_was_for_takes_effect_and_is_counted_once() {
    let bench = Bench::new();
    bench.rules("error op=read at=1+1\nerror op=write");
    let read_while = |rules| {
        let (offset, len) = (0, 512);
        with_rules_during_io(&bench, rules, Request::Read { offset, len })
    };
    assert_eq!(read_while("error op=read at=1+1"), Ok(vec![0; 512]));
    assert_eq!(read_while("error op=read at=0+1"), EIO);
    assert_eq!(bench.disk.rules()[0].counts.fired, 1);
    assert_eq!(
        (bench.stat("read_requests"), bench.stat("read_answered")),
        (2, 2)
    );
    assert_eq!(bench.stat("read_errors_injected"), 1);
}

#[test]
fn host_error_is_passed_on_and_counted_apart() {
    let bench = Bench::new();
    bench.image.fail_with(libc::ENOSPC);
    assert_eq!(answer(&bench.write(1)), Err(Errno(libc::ENOSPC)));
    assert_eq!(bench.stat("write_errors_host"), 1);
    assert_eq!(bench.stat("write_errors_injected"), 0);
    assert_eq!(bench.disk.injected_errors(bench.client), 0);
}

#[test]
fn injected_error_is_counted_for_its_client() {
    let bench = Bench::new();
    let other = bench.disk.open().unwrap();
    bench.arm(Mode::EioRead);
    answer(&bench.read()).unwrap_err();
    assert_eq!(bench.disk.injected_errors(bench.client), 1);
    assert_eq!(bench.disk.injected_errors(other), 0);
}

#[test]
fn requests_and_bytes_are_counted_by_kind() {
    let bench = Bench::new();
    answer(&bench.write(1)).unwrap();
    answer(&bench.read()).unwrap();
    answer(&bench.read()).unwrap();
    assert_eq!(bench.stat("read_requests"), 2);
    assert_eq!(bench.stat("read_bytes"), 1024);
    assert_eq!(bench.stat("write_requests"), 1);
    assert_eq!(bench.stat("flush_requests"), 0);
}

#[test]
fn host_error_is_passed_on_for_each_kind_of_request() {
    let bench = Bench::new();
    for errno in 1..=600 {
        bench.image.fail_with(errno);
        let (offset, len, keep_size) = (0, 512, true);
        let requests = [
            Request::Read { offset, len },
            Request::Write {
                offset,
                data: vec![1; 512].into(),
                fua: None,
            },
            Request::Flush { data_only: false },
            Request::Discard { offset, len: 512 },
            Request::Zero {
                offset,
                len: 512,
                keep_size,
            },
        ];
        for request in requests {
            assert_eq!(answer(&bench.submit(request)), Err(Errno(errno)));
        }
    }
    assert_eq!(bench.stat("flush_errors_host"), 600);
}
