//! Checkpoints of a disk.

use super::*;
use crate::disk::CheckpointError;
use crate::protocol::{CacheMode, CheckpointCommand};

impl Bench {
    fn checkpoint(&self, command: &str) -> std::result::Result<(), CheckpointError> {
        let command: CheckpointCommand = command.parse().unwrap();
        self.disk.checkpoint(&command)
    }
}

#[test]
fn checkpoint_brings_back_what_the_disk_held_any_number_of_times() {
    let bench = Bench::new();
    bench.write_sectors(0, &pattern(1, 4)).unwrap();
    bench.checkpoint("save a").unwrap();
    for round in 0..3 {
        bench.write_sectors(1, &pattern(50 + round, 5)).unwrap();
        assert_eq!(bench.read_sectors(1, 5), Ok(pattern(50 + round, 5)));
        let image = [pattern(1, 4), vec![0; 1024]].concat();
        assert_eq!(bench.image_sectors(0, 6), image, "the image stays");
        bench.checkpoint("restore a").unwrap();
        assert_eq!(bench.read_sectors(0, 6), Ok(image));
    }
    bench.checkpoint("drop a").unwrap();
    assert!(!bench.disk.image.below.has_layers());
}

#[test]
fn checkpoint_saved_later_stays_when_an_earlier_one_is_restored() {
    let bench = Bench::new();
    bench.checkpoint("save zero").unwrap();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.checkpoint("save one").unwrap();
    bench.checkpoint("restore zero").unwrap();
    bench.write_sectors(0, &pattern(9, 1)).unwrap();
    bench.checkpoint("restore one").unwrap();
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(1, 1)));
    bench.checkpoint("restore zero").unwrap();
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(0, 1)));
    assert_eq!(bench.disk.checkpoints(), ["zero", "one"]);
}

#[test]
fn last_checkpoint_that_is_dropped_leaves_what_the_disk_holds_in_the_image() {
    let bench = Bench::new();
    bench.checkpoint("save a").unwrap();
    bench.write_sectors(2, &pattern(3, 4)).unwrap();
    bench.checkpoint("save b").unwrap();
    bench.checkpoint("drop a").unwrap();
    assert_eq!(bench.image_sectors(2, 4), vec![0; 2048]);
    bench.write_sectors(3, &pattern(7, 1)).unwrap();
    bench.checkpoint("drop b").unwrap();
    let whole = [pattern(3, 1), pattern(7, 1), pattern(5, 2)].concat();
    assert_eq!(bench.image_sectors(2, 4), whole);
    assert_eq!(bench.read_sectors(2, 4), Ok(whole));
}

#[test]
fn drop_whose_writing_fails_leaves_the_checkpoint() {
    let bench = Bench::new();
    bench.checkpoint("save a").unwrap();
    bench.write_sectors(0, &pattern(1, 4)).unwrap();
    bench.image.fail_with(libc::EIO);
    let error = bench.checkpoint("drop a").unwrap_err();
    assert_eq!(error.errno(), Errno::EIO);
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert_eq!(bench.disk.checkpoints(), ["a"]);
    bench.image.fail_with(0);
    assert_eq!(bench.read_sectors(0, 4), Ok(pattern(1, 4)));
    bench.checkpoint("restore a").unwrap();
    assert_eq!(bench.read_sectors(0, 4), Ok(vec![0; 2048]));
}

#[test]
fn checkpoint_names_are_unique_and_unknown_ones_are_explained() {
    let bench = Bench::new();
    let error = bench.checkpoint("restore a").unwrap_err();
    assert_eq!(error.to_string(), "no checkpoint `a` (saved: none)");
    assert_eq!(error.errno(), Errno(libc::ENOENT));
    bench.checkpoint("save a").unwrap();
    bench.checkpoint("save b").unwrap();
    let error = bench.checkpoint("save a").unwrap_err();
    assert_eq!(error.errno(), Errno(libc::EEXIST));
    let error = bench.checkpoint("drop c").unwrap_err();
    assert_eq!(error.to_string(), "no checkpoint `c` (saved: a, b)");
    assert_eq!(bench.disk.checkpoints(), ["a", "b"]);
}

#[test]
fn checkpoint_has_what_was_pending() {
    let bench = Bench::new();
    bench.disk.set_cache_mode(CacheMode::Volatile).unwrap();
    bench.write_sectors(0, &pattern(1, 2)).unwrap();
    let numbers = || {
        let pending = bench.disk.pending().into_iter();
        pending.map(|line| line.number).collect::<Vec<_>>()
    };
    bench.checkpoint("save a").unwrap();
    let held = bench.disk.held_bytes();
    for _ in 0..2 {
        bench.write_sectors(4, &pattern(5, 2)).unwrap();
        assert_eq!(numbers(), [1, 2]);
        bench.flush().unwrap();
        assert_eq!(numbers(), [0_u64; 0]);
        bench.checkpoint("restore a").unwrap();
        assert_eq!(numbers(), [1]);
        assert_eq!(bench.disk.held_bytes(), held, "it counts once");
        assert_eq!(
            bench.read_sectors(0, 6),
            Ok([pattern(1, 2), vec![0; 2048]].concat())
        );
    }
    bench.disk.set_cache_mode(CacheMode::Off).unwrap();
    assert_eq!(bench.disk.held_bytes(), held, "the checkpoint has it");
    bench.checkpoint("restore a").unwrap();
    assert_eq!(bench.disk.cache_mode(), CacheMode::Volatile);
    assert_eq!(numbers(), [1]);
    bench.disk.set_cache_mode(CacheMode::Off).unwrap();
    bench.checkpoint("drop a").unwrap();
    assert_eq!(bench.image_sectors(0, 2), pattern(1, 2));
}

#[test]
fn checkpoint_with_faults_gives_the_very_same_faults_to_the_same_requests() {
    let bench = Bench::new();
    bench.rules(
        "error op=read p=0.3 seed=7\nstale op=read at=8+4 every=2\nerror op=write skip=3 times=2",
    );
    let requests = || {
        let all = (0..40).map(|n| match n % 3 {
            0 => bench.write_sectors(8 + n % 4, &pattern(n as u8, 1)),
            _ => bench.read_sectors(8 + n % 4, 1),
        });
        let all: Vec<_> = all.collect();
        let rules = bench.disk.rules();
        (
            all,
            rules.iter().map(|rule| rule.counts).collect::<Vec<_>>(),
        )
    };
    requests();
    bench.checkpoint("save a faults=yes").unwrap();
    bench.checkpoint("save b").unwrap();
    let first = requests();
    for _ in 0..3 {
        bench.rules("error op=write");
        bench.checkpoint("restore a").unwrap();
        assert_eq!(requests(), first);
    }
    // Without them the rules and their counters go on.
    bench.checkpoint("restore b").unwrap();
    assert_ne!(requests().1, first.1);
}

#[test]
fn stale_rule_goes_on_to_show_what_there_was_before_a_restore() {
    let bench = Bench::new();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.checkpoint("save a").unwrap();
    bench.write_sectors(0, &pattern(2, 1)).unwrap();
    bench.rules("stale op=read");
    bench.checkpoint("restore a").unwrap();
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(2, 1)));
    bench.rules("\n");
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(1, 1)));
}

#[test]
fn request_that_waits_at_a_restore_fails_and_is_not_done() {
    let bench = Bench::new();
    bench.checkpoint("save a").unwrap();
    bench.rules("hang op=write\ndelay op=read by=1h");
    let held = bench.write(1);
    bench.checkpoint("save b").unwrap();
    let delayed = bench.read();
    bench.checkpoint("restore a").unwrap();
    assert_eq!([answer(&held), answer(&delayed)], [EIO, EIO]);
    bench.rules("\n");
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(0, 1)));
}

#[test]
fn checkpoint_has_the_state_of_the_power() {
    let bench = Bench::new();
    bench.checkpoint("save on").unwrap();
    let cut = crate::protocol::PowerCut::default();
    let under_way = bench.disk.mains.begin_cut(Some(&bench.disk));
    under_way.finish(&cut, None, || ()).unwrap();
    assert_eq!(bench.read_sectors(0, 1), EIO);
    let off = bench.disk.power();
    bench.checkpoint("save off").unwrap();
    bench.checkpoint("restore on").unwrap();
    assert_eq!(bench.disk.power().to_string(), "on");
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.checkpoint("restore off").unwrap();
    assert_eq!(bench.disk.power(), off);
    assert_eq!(bench.read_sectors(0, 1), EIO);
    assert!(bench.disk.return_power());
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(0, 1)));
}
