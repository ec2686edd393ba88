//! Rules act before the cache: what they make of a request is what becomes pending.

use std::os::unix::fs::FileExt;

use super::*;

/// A cached disk full of sevens that are durable, and a client.
fn sevens() -> (Mount, std::fs::File) {
    let mount = cached(MIB);
    std::fs::write(mount.image(), vec![7; MIB as usize]).unwrap();
    let file = open(&mount, "vda");
    (mount, file)
}

fn sector(file: &std::fs::File, sector: u64) -> Vec<u8> {
    let mut found = vec![0; 512];
    file.read_exact_at(&mut found, sector * 512).unwrap();
    found
}

#[test]
fn flush_that_is_lost_is_answered_and_makes_nothing_durable() {
    let (mount, file) = sevens();
    mount.arm("lose op=flush");
    file.write_all_at(&[1; 512], 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(pending(&mount), ["1 write 0 1"]);
    assert_eq!(mount.stat("flush_lost"), 1);
    cut(&mount, "cut");
    assert!(image(&mount) == vec![7; MIB as usize]);
}

#[test]
fn flush_that_fails_leaves_everything_pending_for_the_next_one() {
    let (mount, file) = sevens();
    mount.arm("error op=flush errno=ENOSPC times=1");
    file.write_all_at(&[1; 512], 0).unwrap();
    file.write_all_at(&[2; 512], 512).unwrap();
    assert_eq!(errno(file.sync_all()), libc::ENOSPC);
    assert_eq!(pending(&mount), ["1 write 0 1", "2 write 1 1"]);
    assert!(image(&mount) == vec![7; MIB as usize]);
    file.sync_all().unwrap();
    assert!(pending(&mount).is_empty());
    assert_eq!(
        image(&mount)[..1536],
        [[1; 512], [2; 512], [7; 512]].concat()
    );
}

#[test]
fn write_that_is_lost_never_becomes_pending() {
    let (mount, file) = sevens();
    mount.arm("lose op=write");
    file.write_all_at(&[1; 512], 0).unwrap();
    assert!(pending(&mount).is_empty());
    assert_eq!(sector(&file, 0), [7; 512]);
}

#[test]
fn torn_corrupted_and_misdirected_data_are_what_becomes_pending() {
    let (old, new) = ([7; 512], [1; 512]);
    for (rule, is_pending, found) in [
        ("tear keep=1", "1 write 0 1", [new, old, old]),
        (
            "corrupt op=write how=fill byte=9",
            "1 write 0 2",
            [[9; 512], [9; 512], old],
        ),
        ("misdirect op=write by=+1", "1 write 1 2", [old, new, new]),
    ] {
        for survives in [false, true] {
            let (mount, file) = sevens();
            mount.arm(rule);
            file.write_all_at(&[1; 1024], 0).unwrap();
            mount.clear();
            assert_eq!(pending(&mount), [is_pending], "{rule}");
            let seen = [0, 1, 2].map(|number| sector(&file, number)).concat();
            assert_eq!(seen, found.concat(), "{rule}");
            assert!(image(&mount) == vec![7; MIB as usize], "{rule}");
            if survives {
                file.sync_all().unwrap();
            }
            cut(&mount, "cut");
            let left = if survives { found } else { [old; 3] };
            assert_eq!(image(&mount)[..1536], left.concat(), "{rule}");
        }
    }
}

#[test]
fn write_that_fails_late_is_pending_all_the_same_and_one_that_fails_early_is_not() {
    let (mount, file) = sevens();
    mount.arm("tear keep=1 then=EIO times=1");
    assert!(file.write_all_at(&[1; 1024], 0).is_err());
    assert_eq!(pending(&mount), ["1 write 0 1"]);
    mount.arm("error op=write errno=EIO at=8+1");
    assert!(file.write_all_at(&[1; 512], 4096).is_err());
    assert_eq!(pending(&mount), ["1 write 0 1"]);
}

#[test]
fn stale_data_are_shown_through_the_cache_and_never_become_durable() {
    let (mount, file) = sevens();
    file.write_all_at(&[1; 512], 0).unwrap();
    mount.arm("stale op=read");
    file.write_all_at(&[2; 512], 0).unwrap();
    file.write_all_at(&[2; 512], 512).unwrap();
    assert_eq!(
        sector(&file, 0),
        [1; 512],
        "what was pending when the rule was armed"
    );
    assert_eq!(sector(&file, 1), [7; 512], "what was durable then");
    file.sync_all().unwrap();
    assert_eq!(sector(&file, 0), [1; 512]);
    mount.clear();
    assert_eq!(sector(&file, 0), [2; 512]);
    assert_eq!(image(&mount)[..1024], [2; 1024]);
}

#[test]
fn error_and_corruption_of_reads_meet_pending_data() {
    let (mount, file) = sevens();
    file.write_all_at(&[1; 512], 0).unwrap();
    mount.arm("error op=read at=0+1");
    assert!(file.read_at(&mut [0; 512], 0).is_err());
    mount.clear();
    mount.arm("corrupt op=read how=zero at=0+1");
    assert_eq!(sector(&file, 0), [0; 512]);
    mount.clear();
    assert_eq!(sector(&file, 0), [1; 512]);
}
