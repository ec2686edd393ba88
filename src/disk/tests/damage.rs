//! What the list of damage has, and what it has not.

use super::*;
use crate::protocol::names::SECTOR;

#[test]
fn damage_lists_what_was_done_before_an_error_came() {
    let bench = Bench::new();
    let write = Request::Write {
        offset: 8 * SECTOR,
        data: pattern(1, 2).into(),
        fua: None,
    };
    assert_eq!(
        with_rules_during_io(&bench, "eio_write", write),
        Err(Errno::EIO)
    );
    assert_eq!(bench.image_sectors(8, 2), pattern(1, 2));
    assert_eq!(bench.damage(), "8 2 written eio_write\n");
    bench.rules("");
    let (offset, len) = (2046 * SECTOR, 8 * SECTOR);
    let discard = Request::Discard { offset, len };
    let rule = "error op=discard errno=ENOSPC";
    let answer = with_rules_during_io(&bench, rule, discard);
    assert_eq!(answer, Err(Errno(libc::ENOSPC)));
    let damage = bench.damage();
    assert_eq!(
        damage.lines().last(),
        Some(&*format!("2046 2 discarded {rule}"))
    );
}

#[test]
fn damage_has_neither_failed_writes_nor_what_does_not_reach_the_image() {
    let bench = Bench::new();
    bench.rules("corrupt op=write how=zero\nmisdirect op=write by=+8");
    bench.image.fail_with(libc::ENOSPC);
    assert_eq!(
        bench.write_sectors(8, &pattern(1, 2)),
        Err(Errno(libc::ENOSPC))
    );
    assert_eq!(bench.damage(), "");
    bench.image.fail_with(0);
    // The first of two sectors finds space.
    bench.image.be_full_at(17 * SECTOR);
    assert_eq!(
        bench.write_sectors(8, &pattern(1, 2)),
        Err(Errno(libc::ENOSPC))
    );
    assert_eq!(
        bench.damage(),
        "16 1 corrupted corrupt op=write how=zero\n16 1 overwritten misdirect op=write by=+8\n"
    );
}

#[test]
fn damage_has_neither_what_is_torn_off_nor_discards_past_the_end() {
    let bench = Bench::new();
    bench.rules("tear keep=1\ncorrupt op=write how=zero at=9+1\nlose op=discard");
    bench.write_sectors(8, &pattern(1, 2)).unwrap();
    let torn = "9 1 torn tear op=write keep=1 then=ok\n";
    assert_eq!(bench.damage(), torn);
    let end = 2048 * SECTOR;
    for (offset, len) in [(end, 512), (end - 1024, 4096)] {
        answer(&bench.submit(Request::Discard { offset, len })).unwrap();
    }
    assert_eq!(
        bench.damage(),
        format!("{torn}2046 2 lost lose op=discard\n")
    );
}
