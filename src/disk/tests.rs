//! A disk against an image in memory: when the faults are looked at, and who answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Answer, Delays, Disk, Pool, Reply, Request, Switch};
use crate::fault::{Edit, Mode, Then, parse_edits, parse_rule};
use crate::protocol::Errno;
use crate::storage::MemoryImage;

pub(super) type Result = std::result::Result<Vec<u8>, Errno>;

/// Sends the result to the test; EIO when dropped unsent, as a FUSE reply does.
struct TestReply(Option<Sender<Result>>);

impl Reply for TestReply {
    fn send(mut self, result: std::result::Result<Answer<'_>, Errno>) {
        let result = result.map(|answer| match answer {
            Answer::Data(data) => data.to_vec(),
            Answer::Done(_) => Vec::new(),
        });
        self.0.take().unwrap().send(result).unwrap();
    }
}

impl Drop for TestReply {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            let _ = waiting.send(Err(Errno(libc::EIO)));
        }
    }
}

pub(super) struct Bench {
    pub(super) disk: Arc<Disk>,
    pub(super) image: Arc<MemoryImage>,
    pub(super) delays: Arc<Delays>,
    pub(super) client: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of_size(1 << 20)
    }

    pub(super) fn of_size(size: usize) -> Self {
        let image = Arc::new(MemoryImage::new(size));
        let delays = Arc::new(Delays::start(Arc::new(Pool::default())).unwrap());
        let disk = Disk::new("vda", "memory".as_ref(), image.clone(), Arc::clone(&delays));
        let disk = Arc::new(disk);
        let client = disk.open().unwrap();
        Self {
            disk,
            image,
            delays,
            client,
        }
    }

    /// Delays reads for so long that nobody is late.
    fn delay_reads(&self, by: &str) {
        let rule = parse_rule(&format!("delay op=read by={by}"), 1).unwrap();
        self.disk.arm(&[Edit::Add(rule)], false).unwrap();
    }

    fn arm(&self, mode: Mode) {
        self.disk.arm(&[Edit::Add(mode.rule())], false).unwrap();
    }

    pub(super) fn submit(&self, request: Request<'_>) -> Receiver<Result> {
        let (reply, answer) = bounded(1);
        self.disk
            .submit(request, self.client, true, TestReply(Some(reply)));
        answer
    }

    fn read(&self) -> Receiver<Result> {
        self.submit(Request::Read {
            offset: 0,
            len: 512,
        })
    }

    fn write(&self, byte: u8) -> Receiver<Result> {
        let data = vec![byte; 512].into();
        self.submit(Request::Write { offset: 0, data })
    }

    pub(super) fn stat(&self, key: &str) -> u64 {
        let text = self.disk.counters().to_string();
        let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.find(|(k, _)| *k == key).unwrap().1.parse().unwrap()
    }
}

pub(super) fn answer(receiver: &Receiver<Result>) -> Result {
    receiver
        .recv_timeout(Duration::from_secs(10))
        .expect("an answer")
}

const EIO: Result = Err(Errno::EIO);

#[test]
fn without_faults_what_is_written_is_read() {
    let bench = Bench::new();
    assert_eq!(answer(&bench.write(7)), Ok(vec![]));
    assert_eq!(answer(&bench.read()), Ok(vec![7; 512]));
}

#[test]
fn eio_read_fails_the_read_and_never_touches_the_image() {
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
fn an_error_armed_during_the_delay_takes_effect() {
    let bench = Bench::new();
    bench.delay_reads("500ms");
    let read = bench.read();
    bench.arm(Mode::EioRead);
    assert_eq!(answer(&read), EIO);
    assert_eq!(bench.image.touched(), 0);
}

#[test]
fn an_error_cleared_during_the_delay_does_not() {
    let bench = Bench::new();
    bench.delay_reads("500ms");
    bench.arm(Mode::EioRead);
    let read = bench.read();
    bench
        .disk
        .arm(&[Edit::Remove(Mode::EioRead.rule())], false)
        .unwrap();
    assert_eq!(answer(&read), Ok(vec![0; 512]));
}

#[test]
fn an_error_armed_during_the_io_takes_effect() {
    let bench = Bench::new();
    bench.image.set_stuck(true);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| answer(&bench.read()));
        while bench.image.touched() == 0 {
            std::thread::yield_now();
        }
        bench.arm(Mode::EioRead);
        bench.image.set_stuck(false);
        assert_eq!(read.join().unwrap(), EIO);
    });
}

#[test]
fn a_request_in_its_io_and_one_that_waits_are_both_in_flight() {
    let bench = Bench::new();
    bench.image.set_stuck(true);
    std::thread::scope(|scope| {
        scope.spawn(|| answer(&bench.read()));
        while bench.image.touched() == 0 {
            std::thread::yield_now();
        }
        let rule = parse_rule("delay op=write by=1s", 1).unwrap();
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
        assert_eq!(lines, ["read 0 1 -", "write 0 1 delay op=write by=1s"]);
        bench.image.set_stuck(false);
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
fn what_waits_when_the_end_comes_is_answered() {
    let bench = Bench::new();
    bench.delay_reads("1m");
    let read = bench.read();
    bench.delays.end();
    assert_eq!(answer(&read), EIO);
    assert_eq!(answer(&bench.read()), EIO, "and so is what comes later");
}

#[test]
fn an_error_of_the_host_is_passed_on_and_counted_apart() {
    let bench = Bench::new();
    bench.image.fail_with(libc::ENOSPC);
    assert_eq!(answer(&bench.write(1)), Err(Errno(libc::ENOSPC)));
    assert_eq!(bench.stat("write_errors_host"), 1);
    assert_eq!(bench.stat("write_errors_injected"), 0);
    assert_eq!(bench.disk.injected_errors(bench.client), 0);
}

#[test]
fn an_injected_error_is_on_the_account_of_its_client() {
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
fn what_is_dropped_fails_and_is_not_done_whether_it_was_held_or_delayed() {
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

#[test]
fn a_rule_for_guests_passes_the_requests_of_a_test_by() {
    let bench = Bench::new();
    let test = Bench {
        client: bench.disk.open().unwrap(),
        disk: Arc::clone(&bench.disk),
        image: Arc::clone(&bench.image),
        delays: Arc::clone(&bench.delays),
    };
    test.disk.set_test(test.client);
    let rules = [
        "error op=read errno=EIO from=guest skip=1",
        "hang op=write from=guest",
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
fn a_rule_for_guests_that_is_armed_during_a_tests_io_passes_it_by() {
    let bench = Bench::new();
    bench.disk.set_test(bench.client);
    bench.image.set_stuck(true);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| answer(&bench.read()));
        while bench.image.touched() == 0 {
            std::thread::yield_now();
        }
        let rule = parse_rule("eio_read from=guest", 1).unwrap();
        bench.disk.arm(&[Edit::Add(rule)], false).unwrap();
        bench.image.set_stuck(false);
        assert_eq!(read.join().unwrap(), Ok(vec![0; 512]));
    });
}

#[test]
fn a_write_that_waits_twice_takes_its_room_once() {
    let bench = Bench::new();
    let mut others = bench.delays.room();
    others.grow(super::MOST_HELD - 512).unwrap();
    let rules = ["delay op=write by=1ms", "hang op=write tag=h"];
    let edits = rules.map(|rule| Edit::Add(parse_rule(rule, 1).unwrap()));
    bench.disk.arm(&edits, false).unwrap();
    let write = bench.write(7);
    while bench.stat("write_held") == 0 {
        std::thread::yield_now();
    }
    assert_eq!(bench.disk.held_bytes(), super::MOST_HELD);
    assert_eq!(answer(&bench.write(8)), Err(Errno::ENOMEM));
    bench.disk.release(Some("h"), Then::Ok);
    assert_eq!(answer(&write), Ok(vec![]));
    drop(others);
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn a_hang_is_released_after_the_delays_and_not_before() {
    let bench = Bench::new();
    let rules = ["hang op=read", "delay op=read by=200ms"];
    let edits = rules.map(|rule| Edit::Add(parse_rule(rule, 1).unwrap()));
    bench.disk.arm(&edits, false).unwrap();
    let read = bench.read();
    assert_eq!(
        bench.disk.release(None, Then::Ok),
        Some(0),
        "it is only delayed"
    );
    while bench.stat("read_held") == 0 {
        std::thread::yield_now();
    }
    assert!(bench.disk.in_flight()[0].age >= Duration::from_millis(200));
    assert_eq!(bench.disk.release(None, Then::Ok), Some(1));
    assert_eq!(answer(&read), Ok(vec![0; 512]));
}

#[test]
fn an_error_of_the_host_is_passed_on_for_each_kind_of_request() {
    let bench = Bench::new();
    for errno in 1..=600 {
        bench.image.fail_with(errno);
        let (offset, len, keep_size) = (0, 512, true);
        let requests = [
            Request::Read { offset, len },
            Request::Write {
                offset,
                data: vec![1; 512].into(),
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

/// How long this thread has had a processor so far.
fn time_used() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = schedstat.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

#[test]
fn thousands_of_edits_beside_ten_thousand_rules_take_no_time() {
    let bench = Bench::new();
    let arm = |from: u64, to: u64, line: &dyn Fn(u64) -> String| {
        let lines: String = (from..to).map(|n| line(n) + "\n").collect();
        let edits = parse_edits(lines.as_bytes()).unwrap();
        bench.disk.arm(&edits, false).unwrap();
    };
    let rule = |n| format!("eio_read at={n}+1 tag=t{n}");
    arm(0, 10_000, &rule);
    let before = time_used();
    arm(9000, 12_400, &rule);
    arm(0, 2400, &|n| format!("!t{n}"));
    arm(2400, 4800, &|n| format!("!{}", rule(n)));
    assert_eq!(bench.disk.rules().len(), 12_400 - 4800);
    // Linear: 1 s unoptimised. A rule looked for among all others, each time: 10 s.
    let took = time_used() - before;
    assert!(took < Duration::from_secs(4), "{took:?}");
}
