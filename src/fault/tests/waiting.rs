//! Delays and hangs.

use super::*;

#[test]
fn delays_add_up_and_a_hang_comes_after_them() {
    let set = set(&["hang op=read max=5s then=ok", "slow", "delay by=10ms..20ms"]);
    let mut hits = RuleHits::default();
    let range = io(Op::Read, 0, 1);
    let delay = set.wait(range, NOW, &mut hits).unwrap();
    assert!((60..=70).contains(&delay.time.as_millis()), "{delay:?}");
    assert!(!delay.is_hang);
    let hang = set.wait(range, NOW, &mut hits).unwrap();
    assert_eq!(
        (hang.time, hang.then, hang.is_hang),
        (Duration::from_secs(5), Then::Ok, true)
    );
    assert!(
        set.wait(range, NOW, &mut hits).is_none(),
        "each rule holds a request once"
    );
}

#[test]
fn hang_comes_after_the_delays_wherever_they_stand() {
    let set = set(&[
        "hang op=read tag=h",
        "delay op=read by=400ms",
        "delay by=1s when=h",
    ]);
    let (mut hits, range) = (RuleHits::default(), io(Op::Read, 0, 1));
    let mut next = || {
        set.wait(range, NOW, &mut hits)
            .map(|wait| (wait.is_hang, wait.time.as_millis()))
    };
    let waits = std::array::from_fn(|_| next());
    // The last one waited for the hang to fire.
    assert_eq!(
        waits,
        [
            Some((false, 400)),
            Some((true, 60_000)),
            Some((false, 1000)),
            None
        ]
    );
}
