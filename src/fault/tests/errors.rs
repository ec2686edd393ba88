//! What the grammar says of texts that it rejects.

use super::*;

/// Asserts that each text is rejected with an error that begins so.
pub(super) fn assert_rejected(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = parse_edits(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn error_of_an_unknown_name_offers_the_nearest_one() {
    assert_rejected(&[
        (
            "slow\nbogus",
            "line 2, column 1: unknown mode `bogus` (valid: eio_read, eio_write, slow, error,",
        ),
        (
            "  eror errno=EIO",
            "line 1, column 3: unknown mode `eror`; did you mean `error`? (valid:",
        ),
        (
            "error erno=EIO",
            "line 1, column 7: unknown key `erno` of `error`; did you mean `errno`? \
             (valid: errno, heal, tries, spares, op, at, sectors, cluster, size, client, skip,",
        ),
        (
            "eio_read errno=EIO",
            "line 1, column 10: unknown key `errno` of `eio_read`",
        ),
    ]);
}

#[test]
fn error_of_a_limit_says_what_it_expects() {
    assert_rejected(&[
        (
            "limit",
            "line 1, column 6: `limit` expects at least one of rate=, iops= and lanes=, as in rate=10M",
        ),
        (
            "limit burst=1M lanes=1",
            "line 1, column 7: `burst` belongs to rate=, as in rate=10M burst=1M",
        ),
        (
            "limit rate=0",
            "line 1, column 7: `rate=0` expects bytes in a second, from 1 to 2^50, as in rate=10M",
        ),
        (
            "limit rate=10MB/s",
            "line 1, column 7: `rate=10MB/s` expects bytes in a second",
        ),
        (
            "limit rate=1M burst=x",
            "line 1, column 15: `burst=x` expects bytes, from 1 to 2^50",
        ),
        (
            "limit iops=0",
            "line 1, column 7: `iops=0` expects requests in a second, from 1 to 10^9",
        ),
        (
            "limit lanes=1.5",
            "line 1, column 7: `lanes=1.5` expects requests, from 1 to 10^9",
        ),
        (
            "limit iop=1",
            "line 1, column 7: unknown key `iop` of `limit`; did you mean `iops`?",
        ),
    ]);
}

#[test]
fn error_of_a_shape_of_delays_says_what_it_expects() {
    let valid = "percentages from 0 to 100 that rise, each with a time that does not fall";
    for (by, expected) in [
        (
            "norml:1ms,1ms",
            "a time, a range as in 20ms..80ms, or one of normal:, lognormal:, pareto: and p50:; did you mean `normal`?",
        ),
        ("normal:1ms", "a mean and a standard deviation, as in"),
        ("normal:1ms,2", "a time with its unit"),
        (
            "lognormal:0s,1ms",
            "a mean above 0 and a standard deviation",
        ),
        (
            "pareto:1ms,0",
            "the shortest time and a shape, a number above 0",
        ),
        (
            "pareto:1ms,-1",
            "the shortest time and a shape, a number above 0",
        ),
        (
            "pareto:1ms,1e3",
            "the shortest time and a shape, a number above 0",
        ),
        ("p50:1ms,p50:2ms", valid),
        ("p50:2ms,p99:1ms", valid),
        ("p50:2ms,p100.1:3ms", valid),
        ("p50:2ms,", valid),
        ("p50:2ms,normal:1ms", valid),
        ("p50:2", "a time with its unit"),
        ("p5x:2ms", valid),
    ] {
        let expected = format!("line 1, column 7: `by={by}` expects {expected}");
        assert_rejected(&[(&format!("delay by={by}"), &expected)]);
    }
}

#[test]
fn error_of_an_errno_says_which_are_valid() {
    assert_rejected(&[
        (
            "error errno=EOI",
            "line 1, column 7: `errno=EOI` is not a known errno; did you mean `EIO`? \
             (valid: a number from 1 to 511, or a name",
        ),
        (
            "error errno=512",
            "line 1, column 7: `errno=512` is not a known errno \
             (valid: a number from 1 to 511, or a name",
        ),
        (
            "hang then=ENOSYS",
            "line 1, column 6: `then=ENOSYS` tells the kernel that this file system never serves \
             such requests",
        ),
    ]);
    let then = parse_edits(b"hang then=EOI").unwrap_err().to_string();
    assert!(then.ends_with("; or ok"), "{then}");
}

#[test]
fn error_of_a_number_says_the_limit() {
    assert_rejected(&[
        (
            "slow skip=18446744073709551615",
            "line 1, column 6: `skip=18446744073709551615` expects a number of requests, up to 10^15",
        ),
        (
            "slow times=1000000000000001",
            "line 1, column 6: `times=1000000000000001` expects a number of requests, up to 10^15",
        ),
        (
            "slow every=0",
            "line 1, column 6: `every=0` expects a number from 1 to 10^15",
        ),
        (
            "slow p=2",
            "line 1, column 6: `p=2` expects a number from 0 to 1",
        ),
        (
            "corrupt how=fill byte=256",
            "line 1, column 18: `byte=256` expects a byte from 0 to 255, as in byte=0xff",
        ),
        (
            "corrupt how=flip bits=0",
            "line 1, column 18: `bits=0` expects a number of bits from 1 to 65536",
        ),
    ]);
}

#[test]
fn error_of_a_time_shows_the_units() {
    assert_rejected(&[
        (
            "delay by=525601m",
            "line 1, column 7: `by=525601m` expects a time with its unit, as in 200us, 50ms, 1.5s, \
             2m or 1h, up to a year",
        ),
        (
            "delay by=50",
            "line 1, column 7: `by=50` expects a time with its unit",
        ),
        (
            "delay by=2s..1s",
            "line 1, column 7: `by=2s..1s` expects a range from the shortest to the longest",
        ),
        (
            "slow up=1s",
            "line 1, column 6: up= and down= must be given together",
        ),
        (
            "slow up=0s down=0s",
            "line 1, column 6: `up=0s` expects a time above 0, unless down= has one",
        ),
    ]);
}

#[test]
fn error_of_a_word_names_the_word() {
    assert_rejected(&[
        ("slow now", "line 1, column 6: `now` is not key=value"),
        (
            "slow eio_read",
            "line 1, column 6: `eio_read` is not key=value: a rule is a line of its own",
        ),
        (
            "slow;eio_read",
            "line 1, column 1: unknown mode `slow;eio_read`; each rule is a line, or a word",
        ),
        (
            "eio_read,slow,bogus",
            "line 1, column 1: unknown mode `eio_read,slow,bogus` (valid:",
        ),
        (
            "slow skip=1 skip=2",
            "line 1, column 13: `skip` is given twice",
        ),
        (
            "tear op=read keep=1",
            "line 1, column 6: `tear` cannot act on read (valid: op=write)",
        ),
        (
            "corrupt how=flip byte=1",
            "line 1, column 18: `byte` belongs to how=fill",
        ),
        (
            "corrupt bits=1 how=zero",
            "line 1, column 9: `bits` belongs to how=flip",
        ),
        (
            "slow client=hots",
            "line 1, column 6: `client=hots` expects guest or host; did you mean `host`?",
        ),
        (
            "slow per=sector",
            "line 1, column 6: `per=sector` expects p=, the probability for each sector, as in p=0.001 per=sector",
        ),
        (
            "slow p=0.5 per=sectors",
            "line 1, column 12: `per=sectors` expects sector, the only valid value",
        ),
        (
            "error op=flush p=0.5 per=sector",
            "line 1, column 22: `per=sector` draws for sectors, and a flush has none (valid: op=read,write,discard,zero)",
        ),
        (
            "cut keep=random p=0.5 per=sector",
            "line 1, column 23: `per=sector` is not for `cut`, whose p= says what survives (valid: skip=, every=, times=)",
        ),
        ("slow tag=all", "line 1, column 6: `tag=all` expects a name"),
    ]);
}

#[test]
fn error_of_a_cut_stands_at_the_word_that_is_wrong() {
    assert_rejected(&[
        (
            "cut point=during",
            "line 1, column 5: `point=during` expects before or after",
        ),
        (
            "cut op=flush scope=host",
            "line 1, column 14: `scope=host` expects mount or disk",
        ),
        (
            "slow\n cut keep=3",
            "line 2, column 6: `keep=3` expects none, all, first=N, only=N,N,... or random",
        ),
        (
            "cut keep=only=",
            "line 1, column 5: `keep=only=` expects none, all, first=N",
        ),
        (
            "cut keep=only=1,,2",
            "line 1, column 5: `keep=only=1,,2` expects none, all, first=N",
        ),
        (
            "cut keep=none=1",
            "line 1, column 5: `keep=none=1` expects none, all, first=N",
        ),
        ("cut p=0.5", "line 1, column 5: `p` belongs to keep=random"),
        (
            "cut keep=all op=flush p=0.5",
            "line 1, column 23: `p` belongs to keep=random",
        ),
        (
            "cut keep=random p=2",
            "line 1, column 17: `p=2` expects a probability from 0 to 1",
        ),
        (
            "cut seed=-1",
            "line 1, column 5: `seed=-1` expects a whole number below 2^64",
        ),
        (
            "cut tear=0",
            "line 1, column 5: `tear=0` expects a number of sectors from 1 to 2^54 - 1",
        ),
        (
            "cut keep=all garbage=NaN",
            "line 1, column 14: `garbage=NaN` expects a probability from 0 to 1",
        ),
        (
            "cut keep=all keep=none",
            "line 1, column 14: `keep` is given twice",
        ),
        (
            "cut seed=1 seed=2",
            "line 1, column 12: `seed` is given twice",
        ),
        (
            "cut kep=all",
            "line 1, column 5: unknown key `kep` of `cut`; did you mean `keep`? (valid: point, scope, keep, p, seed, \
             tear, garbage, op, at, sectors, cluster, size, client, skip, every, per, times, after,",
        ),
        (
            "cat",
            "line 1, column 1: unknown mode `cat`; did you mean `cut`?",
        ),
        (
            "lose scope=disk",
            "line 1, column 6: unknown key `scope` of `lose`",
        ),
    ]);
    let valid = parse_edits(b"cut kep=all").unwrap_err().to_string();
    assert_eq!(valid.matches(" seed,").count(), 1, "{valid}");
}

#[test]
fn error_of_a_missing_word_shows_an_example() {
    assert_rejected(&[
        (
            " !",
            "line 1, column 3: `!` expects the rule or the tag to remove, as in `!slow`",
        ),
        (
            "tear",
            "line 1, column 5: `tear` expects keep=, as in keep=1",
        ),
        (
            "delay op=read",
            "line 1, column 14: `delay` expects by=, as in by=50ms",
        ),
        (
            "corrupt how=fill",
            "line 1, column 17: how=fill expects byte=: a byte from 0 to 255",
        ),
    ]);
}

#[test]
fn error_of_bytes_that_are_not_text_says_so() {
    let error = parse_edits(b"\xff").unwrap_err().to_string();
    assert!(error.starts_with("the text is not UTF-8"), "{error}");
}
