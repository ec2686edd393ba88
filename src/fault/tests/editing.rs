//! Edits to a set, and what rules are called by.

use super::*;

#[test]
fn rule_that_is_armed_again_keeps_its_place_and_starts_anew() {
    let first = set(&["eio_read times=1", "slow"]);
    assert_eq!(failing(&first, 3), [1]);
    let again = Edit::Add(parse_rule("eio_read times=1", 1).unwrap());
    let arming = Arming {
        first_id: 9,
        ..Arming::default()
    };
    let second = first.edited(&[again], arming).unwrap();
    assert_eq!(names(&second), ["eio_read times=1", "slow"]);
    assert_eq!(failing(&second, 3), [1]);
}

#[test]
fn rule_is_removed_by_its_text_and_by_its_tag() {
    let all = set(&["slow", "eio_read tag=a", "eio_write tag=a"]);
    let edited = |text: &str| all.edited(&parse_edits(text.as_bytes()).unwrap(), Arming::default());
    assert_eq!(names(&edited("!a").unwrap()), ["slow"]);
    assert_eq!(names(&edited("!slow").unwrap()).len(), 2);
    assert_eq!(
        names(&edited("! eio_read tag=a").unwrap()),
        ["slow", "eio_write tag=a"]
    );
    assert_eq!(edited("!b").unwrap_err(), NoSuchTag("b".into()));
}

#[test]
fn when_stays_true_if_the_rule_that_fired_is_removed() {
    let armed = set(&["error op=write errno=EIO tag=a", "eio_read when=a"]);
    let remove = |set: &FaultSet| {
        let edits = parse_edits(b"!a").unwrap();
        set.edited(&edits, Arming::default()).unwrap()
    };
    assert_eq!(decide(&remove(&armed), io(Op::Read, 0, 1)), None);
    assert_eq!(decide(&armed, io(Op::Write, 0, 1)), EIO);
    let removed = remove(&armed);
    assert_eq!(decide(&removed, io(Op::Read, 0, 1)), EIO);
    let states = removed.armed().iter().map(|armed| armed.line(NOW, None));
    let states: Vec<_> = states
        .map(|state| state.to_string().parse::<RuleLine>().unwrap())
        .collect();
    let arming = Arming {
        now: NOW,
        ..Arming::default()
    };
    let copies = states
        .iter()
        .filter_map(|state| Armed::of_line(state, 1, arming).map(std::sync::Arc::new));
    let copy = FaultSet::of(copies.collect());
    assert_eq!(
        decide(&copy, io(Op::Read, 0, 1)),
        EIO,
        "as it is shown, too"
    );
}

#[test]
fn rule_name_is_any_text_that_parses_to_it_or_its_tag() {
    let set = set(&["error op=read errno=EIO tag=a times=2", "eio_write skip=1"]);
    let states: Vec<_> = set
        .armed()
        .iter()
        .map(|armed| armed.line(NOW, None))
        .collect();
    let called = |name: &str| {
        let name = RuleName::new(name);
        states
            .iter()
            .map(|state| name.means(state))
            .collect::<Vec<_>>()
    };
    for first in [
        "a",
        "eio_read times=2 tag=a",
        "error tag=a  errno=5 op=read times=2",
    ] {
        assert_eq!(called(first), [true, false], "{first}");
    }
    assert_eq!(called("error skip=1 op=zero,write"), [false, true]);
    assert_eq!(called("eio_read times=2"), [false, false]);
    assert_eq!(called("eio_write"), [false, false]);
}
