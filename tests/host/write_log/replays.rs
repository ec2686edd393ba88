//! A replay of a log onto the copy that it begins from is the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use provium::os::sys::fallocate;

use super::raw::{Entry, assert_same, entries, replay};
use super::*;

const LARGE: u64 = 400 * MIB;

/// Compares the image, which holds all that was written, with a replay of the log.
fn assert_replay_is_image(mut mount: Mount) {
    mount.signal(libc::SIGTERM);
    mount.wait_for_end();
    let log = log_of(&mount);
    replay(&log, &base_of(&log));
    assert_same(&base_of(&log), &mount.image());
}

#[test]
fn replay_of_overlapping_changes_equals_the_image_to_the_byte() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, LARGE);
        load::run(&mount.vda(), 2, 100, 1);
        start_log(&mount, "");
        load::run(&mount.vda(), 6, 300, fastrand::u64(..));
        stop_log(&mount);
        assert_replay_is_image(mount);
    }
}

#[test]
fn replay_of_large_discards_and_zeroes_equals_the_image_to_the_byte() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, LARGE);
        let disk = File::options().write(true).open(mount.vda()).unwrap();
        for at in (0..LARGE).step_by(7 * MIB as usize) {
            disk.write_all_at(&[0xaa; 4096], at).unwrap();
        }
        start_log(&mount, "");
        disk.write_all_at(&vec![0xbb; 3 * MIB as usize], 90 * MIB)
            .unwrap();
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        fallocate(&disk, punch, 50 * MIB + 512, 300 * MIB).unwrap();
        disk.write_all_at(&[0xcc; 1024], 200 * MIB).unwrap();
        fallocate(&disk, libc::FALLOC_FL_ZERO_RANGE, 4096, 20 * MIB).unwrap();
        disk.write_all_at(&[0xdd; 512], 5 * MIB).unwrap();
        disk.sync_all().unwrap();
        drop(disk);
        stop_log(&mount);
        let found = entries(&log_of(&mount));
        let discards = found.iter().filter_map(|entry| match entry {
            Entry::Discard { count, .. } => Some(count),
            Entry::Write { .. } | Entry::Flush | Entry::Mark(_) => None,
        });
        assert_eq!(discards.clone().sum::<u64>(), 300 * 2048);
        assert!(discards.clone().all(|count| *count <= 262_144));
        assert_eq!(discards.count(), 3);
        assert_replay_is_image(mount);
    }
}

#[test]
fn log_that_begins_under_load_misses_nothing() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        let seed = fastrand::u64(..);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| load::run(&mount.vda(), 6, 400, seed));
            start_log(&mount, "");
            load.join().unwrap();
        });
        stop_log(&mount);
        assert_replay_is_image(mount);
    }
}

#[test]
fn replay_has_what_rules_made_of_the_requests() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        start_log(&mount, "");
        mount.arm(
            "corrupt op=write how=flip bits=3 p=0.2
            lose op=write p=0.1
            lose op=discard p=0.2
            tear p=0.1 keep=2
            tear p=0.1 keep=1 then=EIO
            misdirect op=write by=+3 p=0.1
            error op=write errno=EIO p=0.05
            delay op=write by=1ms p=0.1",
        );
        let seed = fastrand::u64(..);
        load::run_with_errors(&mount.vda(), 6, 300, seed, |_| ());
        mount.clear();
        assert!(mount.read("vda/damage").lines().count() > 100);
        stop_log(&mount);
        assert_replay_is_image(mount);
    }
}

#[test]
fn replay_has_what_is_left_of_writes_that_fail() {
    let folder = TempDir::new().unwrap();
    let Some(small) = Small::make(&folder.path().join("small"), 128 << 10) else {
        return;
    };
    let image = new_image(&small.0.join("vda.img"), 16 * MIB);
    let mut mount = Mount::serve(folder, &["--disk", &format!("vda={}", image.display())]);
    let _unmounted_before_the_folder_goes = small;
    start_log(&mount, "");
    static FAILED: AtomicU64 = AtomicU64::new(0);
    let count = |result: std::io::Result<()>| {
        FAILED.fetch_add(result.is_err().into(), Ordering::SeqCst);
    };
    load::run_with_errors(&mount.vda(), 4, 300, fastrand::u64(..), count);
    assert!(FAILED.load(Ordering::SeqCst) > 10);
    stop_log(&mount);
    mount.signal(libc::SIGTERM);
    mount.wait_for_end();
    let log = log_of(&mount);
    replay(&log, &base_of(&log));
    assert_same(&base_of(&log), &image);
}

/// A client writes 1, 2, 3 ... to the sectors of a ring: what the copy holds ends where the log begins.
#[test]
fn copy_holds_exactly_what_was_written_before_the_log() {
    const RING: u64 = 64;
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let wait = |more: u64| {
            let enough = written.load(Ordering::SeqCst) + more;
            eventually("it writes", || written.load(Ordering::SeqCst) >= enough);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let disk = File::options().write(true).open(mount.vda()).unwrap();
                while !done.load(Ordering::SeqCst) {
                    let number = written.load(Ordering::SeqCst) + 1;
                    let mut sector = [0; 512];
                    sector[..8].copy_from_slice(&number.to_le_bytes());
                    disk.write_all_at(&sector, number % RING * 512).unwrap();
                    written.store(number, Ordering::SeqCst);
                }
            });
            wait(RING);
            start_log(&mount, "");
            wait(RING);
            done.store(true, Ordering::SeqCst);
        });
        stop_log(&mount);
        let number_at = |file: &File, at: u64| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at).unwrap();
            u64::from_le_bytes(bytes)
        };
        let log = log_of(&mount);
        let base = File::open(base_of(&log)).unwrap();
        let mut numbers: Vec<_> = (0..RING).map(|at| number_at(&base, at * 512)).collect();
        numbers.sort();
        let file = File::open(&log).unwrap();
        numbers.extend(entries(&log).iter().filter_map(|entry| match entry {
            Entry::Write { data_at, .. } => Some(number_at(&file, *data_at)),
            Entry::Discard { .. } | Entry::Flush | Entry::Mark(_) => None,
        }));
        assert!(numbers.len() as u64 >= 2 * RING, "{numbers:?}");
        let expected: Vec<_> = (numbers[0]..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "{cache}");
    }
}
