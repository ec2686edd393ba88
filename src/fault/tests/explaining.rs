//! What is explained of a request.

use proptest::prelude::*;

use super::*;

/// What is explained of each rule: why it does not act, or nothing.
fn explained(set: &FaultSet, range: IoRange) -> Vec<String> {
    let answers = set.explain(range, NOW).into_iter();
    let texts = answers.map(|(_, answer)| answer.err().map(|why| why.to_string()));
    texts.map(Option::unwrap_or_default).collect()
}

#[test]
fn explanation_of_every_has_the_number_of_the_match_and_an_ordinal() {
    let read = io(Op::Read, 0, 1);
    let set = set(&[
        "delay op=read by=1ms every=2",
        "delay op=read by=1ms skip=1 every=3",
        "delay op=read by=1ms skip=12 every=11",
    ]);
    do_request(&set, read);
    do_request(&set, read);
    let texts = explained(&set, read);
    assert_eq!(
        texts[..2],
        [
            "it takes every 2nd, and this is number 3",
            "it takes every 3rd after the first, and this is number 3",
        ]
    );
    (0..10).for_each(|_| do_request(&set, read));
    let texts = explained(&set, read);
    assert_eq!(
        texts[2],
        "it takes every 11th after the first 12, and this is number 13"
    );
}

#[test]
fn explanation_counts_in_singular_and_plural() {
    let set = set(&[
        "eio_read skip=1",
        "eio_read skip=2",
        "eio_read size=1K..",
        "eio_read size=..100",
    ]);
    assert_eq!(
        explained(&set, io(Op::Read, 0, 1))[..3],
        [
            "it passes over 1 more request",
            "it passes over 2 more requests",
            "the request's length of 512 bytes is outside its size=",
        ]
    );
    let one = IoRange {
        len: 1,
        ..io(Op::Read, 0, 1)
    };
    assert_eq!(
        explained(&set, one)[2],
        "the request's length of 1 byte is outside its size="
    );
}

/// Does what a disk does with a request, without the I/O.
fn do_request(set: &FaultSet, range: IoRange) {
    let (mut hits, mut now) = (RuleHits::default(), NOW);
    while let Some(wait) = set.wait(range, now, &mut hits) {
        now += wait.time;
        if wait.then != Then::Ok {
            return;
        }
    }
    match set.outcome(range, now, &mut hits).decision {
        Some((Decision::Error(_) | Decision::Tear(_, Then::Error(_)), _)) => {}
        _ => drop(set.late_error(range, now, &mut hits)),
    }
}

/// Rules of all phases, with and without each kind of selector.
const RULES: &str = concat!(
    "(error errno=EIO|lose|tear keep=1|corrupt how=zero|stale|misdirect by=\\+8|delay by=1ms",
    "|hang max=1ms then=(ok|EIO)|cut keep=random point=(before|after))",
    "( at=[0-9]\\+[1-9])?( skip=[0-3])?( every=[1-3])?( times=[0-3])?( p=0\\.[1-9])?",
    "( after=[0-2]ms)?( when=[a-c])?( tag=[a-c])?",
);

proptest! {
    /// What is explained is what happens then, each wait for as long as it may last.
    #[test]
    fn explanation_is_what_happens(
        rules in proptest::collection::vec(RULES, 1..8),
        requests in proptest::collection::vec((0_usize..5, 0_u64..12, 1_u64..4), 1..20),
    ) {
        let rules: Vec<_> = rules.iter().map(String::as_str).collect();
        let set = set(&rules);
        let fired = || set.armed().iter().map(|armed| armed.fired()).collect::<Vec<_>>();
        for (op, sector, count) in requests {
            let (range, before) = (io(Op::ALL[op], sector, count), fired());
            let explained = set.explain(range, NOW).into_iter().map(|(_, answer)| answer.is_ok());
            let explained: Vec<_> = explained.collect();
            do_request(&set, range);
            let acted = fired().into_iter().zip(before).map(|(after, before)| after > before);
            prop_assert_eq!(explained, acted.collect::<Vec<_>>());
        }
    }
}

#[test]
fn explanation_is_of_a_request_of_the_guest() {
    let set = set(&["slow client=host", "slow client=guest"]);
    assert_eq!(
        explained(&set, io(Op::Read, 0, 1)),
        ["it is for requests with client=host alone", ""]
    );
}
