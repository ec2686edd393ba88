//! What rules do to data, byte for byte.

use super::*;

#[test]
fn corruption_of_reads_is_for_the_reader_alone() {
    let bench = Bench::new();
    bench.write_sectors(8, &pattern(1, 4)).unwrap();
    bench.rules("corrupt op=read how=fill byte=0xee at=9+2");
    let mut expected = pattern(1, 4);
    expected[512..1536].fill(0xee);
    assert_eq!(bench.read_sectors(8, 4), Ok(expected));
    assert_eq!(bench.image_sectors(8, 4), pattern(1, 4));
    assert_eq!(bench.damage(), "");
    assert_eq!(bench.stat("read_corrupted"), 1);
}

#[test]
fn corruption_of_writes_stays_and_is_listed() {
    let bench = Bench::new();
    bench.rules("corrupt op=write how=zero at=9+1");
    bench.write_sectors(8, &pattern(1, 4)).unwrap();
    let mut expected = pattern(1, 4);
    expected[512..1024].fill(0);
    assert_eq!(bench.image_sectors(8, 4), expected);
    assert_eq!(
        bench.damage(),
        "9 1 corrupted corrupt op=write how=zero at=9+1\n"
    );
}

#[test]
fn corruption_flips_the_number_of_bits_and_the_same_ones_for_a_seed() {
    let flipped = |rule: &str| {
        let bench = Bench::new();
        bench.rules(rule);
        let data = bench.read_sectors(0, 8).unwrap();
        assert_eq!(data.iter().map(|byte| byte.count_ones()).sum::<u32>(), 5);
        data
    };
    let once = flipped("corrupt op=read how=flip bits=5 seed=1");
    assert_eq!(once, flipped("corrupt op=read how=flip bits=5 seed=1"));
    assert_ne!(once, flipped("corrupt op=read how=flip bits=5 seed=2"));
}

#[test]
fn lost_write_is_acknowledged_and_a_lost_flush_does_not_reach_the_image() {
    let bench = Bench::new();
    bench.rules("lose op=write,flush");
    assert_eq!(bench.write_sectors(8, &pattern(1, 2)), Ok(Vec::new()));
    assert_eq!(bench.image_sectors(8, 2), vec![0; 1024]);
    let touched = bench.image.touched();
    let flush = bench.submit(Request::Flush { data_only: false });
    assert_eq!(answer(&flush), Ok(Vec::new()));
    assert_eq!(bench.image.touched(), touched);
    assert_eq!(bench.damage(), "8 2 lost lose op=write,flush\n");
}

#[test]
fn write_that_a_rule_cuts_the_power_at_is_done_only_if_the_cut_comes_after_it() {
    for (rule, expected) in [
        ("cut op=write scope=disk skip=1", vec![0; 512]),
        ("cut op=write scope=disk skip=1 point=after", pattern(1, 1)),
    ] {
        let bench = Bench::new();
        bench.rules(rule);
        assert_eq!(bench.write_sectors(8, &pattern(1, 1)), Ok(Vec::new()));
        let _ = bench.write_sectors(9, &pattern(1, 1));
        assert_eq!(bench.image_sectors(8, 1), pattern(1, 1), "{rule}");
        assert_eq!(bench.image_sectors(9, 1), expected, "{rule}");
        assert_eq!((bench.stat("write_cut"), bench.stat("read_cut")), (1, 0));
    }
}

#[test]
fn torn_write_has_its_first_sectors_in_the_image() {
    let bench = Bench::new();
    bench.rules("tear keep=3");
    assert_eq!(bench.write_sectors(8, &pattern(1, 5)), Ok(Vec::new()));
    let expected = [pattern(1, 3), vec![0; 1024]].concat();
    assert_eq!(bench.image_sectors(8, 5), expected);
    assert_eq!(bench.damage(), "11 2 torn tear op=write keep=3 then=ok\n");
    bench.rules("tear keep=0 then=ENOSPC");
    assert_eq!(
        bench.write_sectors(20, &pattern(1, 1)),
        Err(Errno(libc::ENOSPC))
    );
    assert_eq!(bench.image_sectors(20, 1), vec![0; 512]);
}

#[test]
fn misdirected_request_lands_elsewhere_and_never_outside() {
    let bench = Bench::new();
    bench.rules("misdirect by=+4 op=write");
    bench.write_sectors(8, &pattern(1, 2)).unwrap();
    assert_eq!(bench.image_sectors(8, 2), vec![0; 1024]);
    assert_eq!(bench.image_sectors(12, 2), pattern(1, 2));
    let rule = "misdirect op=write by=+4";
    assert_eq!(
        bench.damage(),
        format!("8 2 not-written {rule}\n12 2 overwritten {rule}\n")
    );
    bench.rules("misdirect by=-4 op=read");
    assert_eq!(bench.read_sectors(16, 2), Ok(pattern(1, 2)));
    assert_eq!(bench.read_sectors(3, 1), Err(Errno::EIO));
}

#[test]
fn corruption_changes_a_sector_once_however_many_ranges_have_it() {
    let bench = Bench::new();
    bench.rules("corrupt op=read how=flip bits=4096 at=0+1,0+1");
    assert_eq!(bench.read_sectors(0, 1), Ok(vec![0xff; 512]));
    let flipped = |at: &str| {
        bench.rules(&format!("corrupt op=read how=flip bits=7 seed=3 at={at}"));
        bench.read_sectors(0, 12).unwrap()
    };
    let (joined, apart) = (flipped("0+4,2+4"), flipped("0+2,8+3"));
    let ones = |data: &[u8]| data.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(
        (ones(&joined), ones(&apart)),
        (7, 7),
        "of the request, not of a range"
    );
    assert_eq!(joined, flipped("0+6"));
    assert_eq!(ones(&apart[2 * 512..8 * 512]) + ones(&apart[11 * 512..]), 0);
}

#[test]
fn request_that_several_rules_change_is_counted_once() {
    let bench = Bench::new();
    bench.rules(
        "corrupt op=read how=zero\ncorrupt op=read how=fill byte=1\nmisdirect by=+1\nmisdirect by=+2\n\
         delay op=read by=1ms\nhang op=read max=1ms then=ok\nhang op=read max=2ms then=ok",
    );
    bench.read_sectors(0, 1).unwrap();
    for key in ["corrupted", "misdirected", "delayed", "held", "requests"] {
        assert_eq!(bench.stat(&format!("read_{key}")), 1, "{key}");
    }
}

#[test]
fn misdirected_read_ends_with_the_disk() {
    let bench = Bench::of_size(32_768);
    bench.write_sectors(0, &pattern(0, 64)).unwrap();
    bench.rules("misdirect op=read by=-4");
    assert_eq!(
        bench.read_sectors(62, 8),
        Ok(pattern(58, 2)),
        "two of its sectors are on the disk"
    );
    for sector in [64, 66, 1000] {
        assert_eq!(bench.read_sectors(sector, 4), Ok(vec![]));
    }
    bench.rules("misdirect op=read by=+4");
    assert_eq!(bench.read_sectors(60, 8), Err(Errno::EIO));
    assert_eq!(bench.read_sectors(56, 4), Ok(pattern(60, 4)));
}
