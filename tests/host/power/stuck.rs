//! Storage that does not answer: a cut ends all the same, other disks go on, and nothing comes after the cut.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::*;

/// A cached disk `vda` on the disk of another mount, which is the storage; `vdb` on a file.
fn on_storage() -> (Mount, Mount) {
    let storage = Mount::of_size(MIB);
    let folder = TempDir::new().unwrap();
    let vdb = new_image(&folder.path().join("vdb.img"), MIB);
    let disks = [
        format!("vda={},cache=volatile", storage.vda().display()),
        format!("vdb={},cache=volatile", vdb.display()),
    ];
    let mount = Mount::serve(folder, &["--disk", &disks[0], "--disk", &disks[1]]);
    (storage, mount)
}

#[test]
fn cut_ends_though_the_storage_is_stuck_and_nothing_reaches_the_image_after_it() {
    let (storage, mut mount) = on_storage();
    let (file, other) = (open(&mount, "vda"), open(&mount, "vdb"));
    for n in 0..50_u64 {
        file.write_all_at(&[n as u8 + 1; 512], n * 1024).unwrap();
    }
    storage.arm("hang op=write tag=stuck");
    std::thread::scope(|scope| {
        let flusher = scope.spawn(|| file.sync_all());
        eventually("the flush is in the storage", || {
            storage.stat("in_flight") == 1
        });
        let began = Instant::now();
        let cutter = scope.spawn(|| mount.append("vda/power", "cut"));
        let mut slowest = Duration::ZERO;
        while !cutter.is_finished() {
            let begun = Instant::now();
            other.write_all_at(&[1; 512], 0).unwrap();
            other.sync_data().unwrap();
            mount.read("vda/stats");
            slowest = slowest.max(begun.elapsed());
            assert!(began.elapsed() < Duration::from_secs(50), "the cut hangs");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(errno(cutter.join().unwrap()), libc::EIO);
        assert!(slowest < Duration::from_secs(9), "{slowest:?}");
        assert!(
            mount
                .read("error")
                .contains("the power of `vda` is off, but")
        );
        assert!(mount.read("vda/power").starts_with("off kept=0 lost=50 "));
        assert_eq!(mount.read("vda/damage").lines().count(), 50);
        assert_eq!(errno(file.read_at(&mut [0; 512], 0)), libc::EIO);
        storage.clear();
        assert!(flusher.join().unwrap().is_err());
    });
    // The one that was in the storage may be done; what was behind it in the cache is gone.
    let image = std::fs::read(storage.image()).unwrap();
    assert!(image[1024..].iter().all(|byte| *byte == 0));
    assert_eq!(mount.stat("pending_requests"), 0);
    power_on(&mount);
    file.write_all_at(&[99; 512], 4096).unwrap();
    assert_eq!(mount.stat("pending_requests"), 1);
    file.sync_all().unwrap();
    drop((file, other));
    assert_eq!(
        std::fs::read(storage.image()).unwrap()[4096..4608],
        [99; 512]
    );
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
}

#[test]
fn server_that_is_told_to_end_makes_pending_data_durable_once_its_storage_answers() {
    let (storage, mut mount) = on_storage();
    let file = open(&mount, "vda");
    file.write_all_at(&[1; 512], 0).unwrap();
    storage.arm("delay op=write,flush by=300ms");
    drop(file);
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert_eq!(std::fs::read(storage.image()).unwrap()[..512], [1; 512]);
}

#[test]
fn storage_that_fails_a_flush_leaves_everything_pending() {
    let (storage, mount) = on_storage();
    let file = open(&mount, "vda");
    for n in 0..3_u64 {
        file.write_all_at(&[n as u8 + 1; 512], n * 512).unwrap();
    }
    for (rule, left) in [
        ("error op=write at=1+1 errno=ENOSPC", 2),
        ("error op=flush", 0),
    ] {
        storage.arm(rule);
        assert!(file.sync_all().is_err(), "{rule}");
        // Those before the one that failed are in the image.
        assert_eq!(mount.stat("pending_requests"), left, "{rule}");
        let mut seen = [0; 1536];
        file.read_exact_at(&mut seen, 0).unwrap();
        assert_eq!(seen[..], [[1; 512], [2; 512], [3; 512]].concat());
        storage.clear();
    }
    file.sync_all().unwrap();
    cut(&mount, "cut");
    let image = std::fs::read(storage.image()).unwrap();
    assert_eq!(image[..1536], [[1; 512], [2; 512], [3; 512]].concat());
}
