//! What `stale` rules serve, and what they keep for that.

use super::*;
use crate::disk::{Disk, MOST_HELD};
use crate::fault::{Edit, parse_rule};
use crate::protocol::names::SECTOR;

#[test]
fn stale_reads_find_what_was_there_when_the_rule_was_armed() {
    let bench = Bench::new();
    bench.write_sectors(8, &pattern(1, 4)).unwrap();
    bench.rules("stale at=9+2");
    bench.write_sectors(8, &pattern(100, 4)).unwrap();
    let zero = bench.submit(Request::Discard {
        offset: 10 * SECTOR,
        len: SECTOR,
    });
    answer(&zero).unwrap();
    let read = bench.read_sectors(8, 4).unwrap();
    assert_eq!(
        read[..512],
        pattern(100, 1)[..],
        "outside of the range it is new"
    );
    assert_eq!(read[512..1536], pattern(2, 2)[..]);
    assert_eq!(read[1536..], pattern(103, 1)[..]);
    let mut image = pattern(100, 4);
    image[1024..1536].fill(0);
    assert_eq!(bench.image_sectors(8, 4), image);
    bench.rules("");
    assert_eq!(bench.read_sectors(8, 4), Ok(image));
}

fn discard(bench: &Bench, sector: u64, count: u64) -> Result {
    let (offset, len) = (sector * SECTOR, count * SECTOR);
    answer(&bench.submit(Request::Discard { offset, len }))
}

#[test]
fn stale_rule_keeps_its_own_sectors_alone_and_holes_cost_nothing() {
    const ENTRY: u64 = 64;
    let bench = Bench::new();
    bench.write_sectors(0, &pattern(1, 100)).unwrap();
    bench.rules("stale at=0+1,300+1000");
    bench.write_sectors(1, &[7; 99 * 512]).unwrap();
    assert_eq!(bench.disk.held_bytes(), 0, "elsewhere");
    bench.write_sectors(0, &pattern(9, 2)).unwrap();
    assert_eq!(bench.disk.held_bytes(), 512 + ENTRY);
    discard(&bench, 300, 1000).unwrap();
    bench.write_sectors(300, &pattern(9, 100)).unwrap();
    assert_eq!(bench.disk.held_bytes(), 512 + 2 * ENTRY);
    assert_eq!(
        bench.read_sectors(0, 2),
        Ok([pattern(1, 1), pattern(10, 1)].concat())
    );
    assert_eq!(bench.read_sectors(300, 100), Ok(vec![0; 51_200]));
    bench.rules("");
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn stale_rule_serves_what_a_client_cut_off_and_what_was_not_there_as_zeros() {
    let bench = Bench::new();
    bench.write_sectors(2040, &pattern(1, 8)).unwrap();
    bench.rules("stale at=2042+20");
    let (offset, len) = (2044 * SECTOR, 4 * SECTOR);
    answer(&bench.submit(Request::Erase { offset, len })).unwrap();
    assert_eq!(
        bench.read_sectors(2040, 20),
        Ok(pattern(1, 8)),
        "not past the end"
    );
    let size = 2050 * SECTOR;
    answer(&bench.submit(Request::SetSize { size })).unwrap();
    bench.write_sectors(2048, &pattern(9, 4)).unwrap();
    let then = [pattern(1, 8), vec![0; 2048]].concat();
    assert_eq!(bench.read_sectors(2040, 20), Ok(then));
    bench.rules("");
    let now = [pattern(1, 4), vec![0; 2048], pattern(9, 4)].concat();
    assert_eq!(bench.read_sectors(2040, 20), Ok(now));
}

#[test]
fn stale_rule_without_room_has_nothing_changed_and_clearing_makes_room() {
    let bench = Bench::new();
    bench.write_sectors(0, &pattern(1, 64)).unwrap();
    let mut others = bench.delays.memory().reservation();
    others.grow(MOST_HELD - 8192).unwrap();
    bench.rules("stale");
    assert_eq!(discard(&bench, 0, 64), Err(Errno::ENOMEM));
    assert_eq!(bench.image_sectors(0, 64), pattern(1, 64));
    let line = bench.disk.rules()[0].to_string();
    assert!(
        line.ends_with("what would change more of its sectors fails with ENOMEM"),
        "{line}"
    );
    bench.write_sectors(0, &[7; 512]).unwrap();
    assert_eq!(
        bench.read_sectors(0, 1),
        Ok(pattern(1, 1)),
        "for this there was room"
    );
    bench.rules("");
    discard(&bench, 0, 64).unwrap();
}

#[test]
fn stale_rule_that_is_taken_away_ends_what_is_being_kept_for_it() {
    let bench = Bench::new();
    bench.write_sectors(0, &pattern(1, 2048)).unwrap();
    bench.rules("stale");
    let before = bench.image.touched();
    let request = Request::Discard {
        offset: 0,
        len: 2048 * SECTOR,
    };
    assert_eq!(with_rules_during_io(&bench, "", request), Ok(vec![]));
    // One piece that was read, and the discard.
    assert_eq!(bench.image.touched() - before, 2);
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn stale_rule_keeps_a_hole_of_terabytes_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(file.as_file(), &[7; 4096], 3 << 40).unwrap();
    let image = crate::storage::FileImage::open(file.path(), false).unwrap();
    let bench = Bench::new();
    let disk = Disk::new(
        "vda",
        file.path(),
        layered(std::sync::Arc::new(image)),
        bench.delays.clone(),
    );
    let disk = std::sync::Arc::new(disk);
    disk.arm(&[Edit::Add(parse_rule("stale", 1).unwrap())], false)
        .unwrap();
    let bench = Bench { disk, ..bench };
    let (offset, len) = (0, 4 << 40);
    let started = std::time::Instant::now();
    answer(&bench.submit(Request::Discard { offset, len })).unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(60));
    assert!(bench.disk.held_bytes() < 64 * 1024);
    assert_eq!(
        bench.read_sectors(3 << 31, 9),
        Ok([vec![7; 4096], vec![0; 512]].concat())
    );
}
