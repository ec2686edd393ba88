//! What is said of sectors that are written wrong.

use super::errors::assert_rejected;
use super::*;

#[test]
fn error_of_sectors_says_their_form_and_limit() {
    assert_rejected(&[
        (
            "slow at=18014398509481983+2",
            "line 1, column 6: `at=18014398509481983+2` expects sectors below 2^54 as START+COUNT",
        ),
        (
            "slow at=1+18446744073709551615",
            "line 1, column 6: `at=1+18446744073709551615` expects sectors below 2^54",
        ),
        (
            "eio_read at=5",
            "line 1, column 10: `at=5` expects sectors below 2^54 as START+COUNT",
        ),
        (
            "tear keep=18014398509481985",
            "line 1, column 6: `keep=18014398509481985` expects a number of sectors below 2^54",
        ),
        (
            "misdirect by=+18014398509481984",
            "line 1, column 11: `by=+18014398509481984` expects a number of sectors with its sign, \
             as in +8 or -8, below 2^54",
        ),
        (
            "misdirect by=8",
            "line 1, column 11: `by=8` expects a number of sectors with its sign",
        ),
    ]);
}

#[test]
fn error_of_sectors_in_another_form_offers_them_as_start_and_count() {
    for (at, meant) in [
        ("100", Some("100+1")),
        ("8-15", Some("8+8")),
        ("8..15", Some("8+8")),
        ("1..8,2M+4K", Some("1+8,4096+8")),
        ("end-8", None),
        ("end8+8", None),
        ("end-+8", None),
        ("end-18014398509481985+8", None),
        ("end-8+0", None),
        ("1,8-9", Some("1+1,8+2")),
        ("64K..", None),
        ("9-8", None),
        ("1K+100B", None),
        ("1024.0+8", None),
        ("8+0", None),
        ("here", None),
    ] {
        let text = format!("error at={at}");
        let error = parse_edits(text.as_bytes()).unwrap_err().to_string();
        let start =
            format!("line 1, column 7: `at={at}` expects sectors below 2^54 as START+COUNT");
        assert!(error.starts_with(&start), "{error}");
        let offered = error
            .split_once("; did you mean ")
            .map(|(_, meant)| meant.split('?').next());
        assert_eq!(offered.flatten(), meant, "{at}");
    }
}

#[test]
fn error_of_a_size_that_is_not_whole_sectors_names_it() {
    for (at, size) in [("1K+100B", "100B"), ("8+8,end-1000b+8", "1000b")] {
        let error = parse_edits(format!("error at={at}").as_bytes()).unwrap_err();
        let error = error.to_string();
        let end = format!("; {size} is not a multiple of 512 bytes");
        assert!(error.ends_with(&end), "{error}");
    }
}

#[test]
fn error_of_drawn_and_healing_sectors_says_what_is_valid() {
    assert_rejected(&[
        (
            "slow sectors=0",
            "line 1, column 6: `sectors=0` expects a number of sectors from 1 to 1000000",
        ),
        (
            "slow sectors=1000001",
            "line 1, column 6: `sectors=1000001` expects a number of sectors from 1 to 1000000",
        ),
        (
            "slow sectors=9 cluster=1",
            "line 1, column 16: `cluster=1` expects a number of sectors from 2 to 1000000",
        ),
        (
            "slow cluster=9",
            "line 1, column 6: cluster= belongs to sectors=, as in sectors=300 cluster=10",
        ),
        (
            "slow heal=write",
            "line 1, column 6: unknown key `heal` of `slow`",
        ),
        (
            "eio_read heal=read",
            "line 1, column 10: `heal=read` expects `write`, the only valid value",
        ),
        (
            "eio_read spares=3",
            "line 1, column 10: `spares=` belongs to heal=write",
        ),
        (
            "eio_read heal=write tries=0",
            "line 1, column 21: `tries=0` expects a number of writes from 1 to 10^15",
        ),
        (
            "eio_write heal=write",
            "line 1, column 21: with heal=write, op= says which requests fail because of bad sectors \
             (valid: op=read,discard): a write heals them, and fails by tries= and spares= alone",
        ),
        (
            "error op=read,zero heal=write",
            "line 1, column 7: with heal=write, op= says which requests fail because of bad sectors",
        ),
        (
            "error op=flush heal=write",
            "line 1, column 7: `error` cannot act on flush (valid: op=read,discard)",
        ),
    ]);
}
