//! Selectors of sectors, sizes and times.

use proptest::prelude::*;

use super::*;

#[test]
fn range_begins_and_ends_at_its_sectors() {
    let set = set(&["error op=read errno=EIO at=2048+8"]);
    let fails = |sector, count| decide(&set, io(Op::Read, sector, count)) == EIO;
    assert!(!fails(2047, 1) && !fails(2056, 1));
    assert!(fails(2048, 1) && fails(2055, 1));
    assert!(fails(2047, 2) && fails(2055, 8) && fails(0, 9999));
    assert_eq!(decide(&set, io(Op::Write, 2048, 1)), None);
}

#[test]
fn size_includes_both_of_its_ends() {
    let set = set(&["error errno=EIO size=1K..4K"]);
    let fails = [1, 2, 8, 9].map(|sectors| decide(&set, io(Op::Write, 0, sectors)) == EIO);
    assert_eq!(fails, [false, true, true, false]);
}

#[test]
fn times_are_counted_from_the_arming() {
    let set = set(&["error errno=EIO after=10s for=20s up=1s down=3s"]);
    let fails = |millis: u64| {
        decide_at(
            &set,
            io(Op::Read, 0, 1),
            NOW + Duration::from_millis(millis),
        ) == EIO
    };
    assert!(!fails(9_999));
    assert!(fails(10_000) && fails(10_999));
    assert!(!fails(11_000) && !fails(13_999));
    assert!(fails(14_000) && fails(26_500));
    assert!(!fails(27_000) && !fails(30_000));
}

#[test]
fn range_from_the_end_is_where_the_disk_ended_when_the_rule_was_armed() {
    let set = set(&["eio_read at=end-8+8"]);
    for (sector, count, expected) in [
        (2040, 8, EIO),
        (2047, 1, EIO),
        (2032, 9, EIO),
        (2032, 8, None),
        (2048, 8, None),
    ] {
        let found = decide(&set, io(Op::Read, sector, count));
        assert_eq!(found, expected, "{sector}+{count}");
    }
    let again = set.later(Duration::ZERO);
    assert_eq!(decide(&again, io(Op::Read, 2040, 1)), EIO);
    assert_eq!(decide(&again, io(Op::Read, 2039, 1)), None);
}

proptest! {
    /// The index finds what looking at every rule finds.
    #[test]
    fn request_meets_the_rules_that_it_overlaps(
        ranges in proptest::collection::vec((0_u64..100, 1_u64..20), 1..40),
        sector in 0_u64..110,
        count in 1_u64..30,
    ) {
        let at = |(start, count): &(u64, u64)| format!("corrupt how=zero op=read at={start}+{count}");
        let rules: Vec<_> = ranges.iter().map(at).collect();
        let rules: Vec<_> = rules.iter().map(String::as_str).collect();
        let set = set(&rules);
        let outcome = set.outcome(io(Op::Read, sector, count), NOW, &mut RuleHits::default());
        let met: Vec<_> = outcome.rules().map(|armed| armed.rule.to_string()).collect();
        let overlaps = |at: Sectors| at.start < sector + count && sector < at.start + at.count;
        let overlapping = set.rules().filter(|rule| rule.at.iter().any(|at| at.fixed().is_some_and(overlaps)));
        prop_assert_eq!(met, overlapping.map(Rule::to_string).collect::<Vec<_>>());
    }
}
