//! Remarks on rules that can never act, or act otherwise than they seem to.

use super::*;

fn remarks(rules: &[&str]) -> Vec<String> {
    let kind = DiskKind {
        size: 1 << 20,
        read_only: false,
        longest: 1 << 20,
    };
    let remarks = set(rules).remarks(kind).collect::<Vec<_>>().into_iter();
    let texts = remarks.map(|remark| match remark {
        Some(Remark::Never(why)) => format!("never: {why}"),
        Some(Remark::Note(note)) => format!("note: {note}"),
        None => String::new(),
    });
    texts.collect()
}

#[test]
fn never_is_said_of_rules_that_cannot_act_and_of_no_others() {
    let never = |rules: &[&str]| remarks(rules).pop().unwrap().starts_with("never: ");
    for rules in [
        &["eio_read when=a"][..],
        &["eio_read tag=a when=a"],
        &["eio_read tag=a when=b", "eio_write tag=b when=a"],
        &["eio_read tag=a times=0", "eio_write when=a"],
        &["error op=flush size=1.."],
        &["eio_read size=..0"],
        &["error op=flush at=0+1"],
        &["eio_read", "corrupt op=read how=zero"],
        &["cut op=flush times=0"],
        &["cut op=flush at=0+1"],
        &["cut", "eio_read"],
        &["cut", "corrupt op=read how=zero"],
        &["lose op=flush", "cut op=flush"],
    ] {
        assert!(never(rules), "{rules:?}: {:?}", remarks(rules));
    }
    for rules in [
        &["eio_read at=2048+1"][..],
        &["eio_read tag=a", "eio_write when=a"],
        &["error op=flush size=..0"],
        &["error op=flush,read size=1.."],
        &["eio_read times=1", "corrupt op=read how=zero"],
        &["eio_read", "delay op=read by=1ms"],
        &["eio_read", "lose op=write"],
        &["cut keep=random p=0"],
        &["cut times=1", "eio_read"],
        &["cut point=after", "corrupt op=read how=zero"],
        &["cut", "slow"],
        &["lose op=write", "cut op=flush"],
    ] {
        assert!(!never(rules), "{rules:?}: {:?}", remarks(rules));
    }
    assert_eq!(
        remarks(&["eio_read at=2048+1,4000+8", "eio_read at=2047+1"]),
        [
            "note: the disk ends before its sectors: it has 2048, and a guest asks for no more",
            ""
        ]
    );
    assert_eq!(
        remarks(&[
            "eio_read at=end-3000+900",
            "eio_read at=end-3000+960",
            "eio_read at=0+1,end+8",
            "eio_read at=end+8",
        ]),
        [
            "never: its sectors would be before the first: the disk had 2048 sectors when it was armed",
            "note: end-3000+960 begins at the first sector: the disk had 2048 sectors when it was armed",
            "",
            "note: the disk ends before its sectors: it has 2048, and a guest asks for no more",
        ]
    );
}

#[test]
fn note_says_where_two_equal_rules_would_do_more_than_one() {
    let twice = remarks(&[
        "slow",
        "delay op=read,write,zero by=50ms",
        "eio_read",
        "eio_read",
    ]);
    assert_eq!(
        twice,
        [
            "note: armed 2 times and acts once: equal rules are one; a `tag=` makes two of them",
            ""
        ]
    );
    assert_eq!(remarks(&["slow", "slow tag=b"]), ["", ""]);
}
