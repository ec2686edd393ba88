//! Limits: what their words mean, and where they stand among the rules.

use super::*;

const RANGE: IoRange = IoRange {
    op: Op::Read,
    offset: 4096,
    len: 4096,
};

fn wait(
    set: &FaultSet,
    now: Duration,
    hits: &mut RuleHits,
) -> Option<(String, Duration, Option<u64>)> {
    let wait = set.wait(RANGE, now, hits)?;
    let first = wait.rules[0].rule.action.kind().name().to_owned();
    Some((first, wait.time, wait.lanes))
}

#[test]
fn words_of_a_limit_print_as_they_are_read() {
    for text in [
        "limit op=all rate=10M",
        "limit op=read,write rate=10M iops=200 burst=1M lanes=2",
        "limit op=flush lanes=1 tag=a",
        "limit op=all rate=1000 burst=1K p=0.5 seed=3",
    ] {
        assert_eq!(parse_rule(text, 1).unwrap().to_string(), text);
    }
    let exact = parse_rule("limit rate=1024K", 1).unwrap();
    assert_eq!(exact.to_string(), "limit op=all rate=1M");
}

#[test]
fn request_passes_limits_in_order_then_delays_then_hangs() {
    let set = set(&[
        "hang op=read",
        "delay op=read by=5ms",
        "limit op=read lanes=3 iops=10",
        "limit op=read rate=4K",
    ]);
    let ms = Duration::from_millis;
    let mut first = RuleHits::default();
    let found = wait(&set, NOW, &mut first);
    assert_eq!(
        found,
        Some(("limit".into(), ms(0), Some(3))),
        "it has the time, and no lane"
    );
    let id = set.armed()[2].id;
    first.take_lane(id);
    assert_eq!(
        wait(&set, NOW, &mut first),
        Some(("delay".into(), ms(5), None))
    );
    assert_eq!(wait(&set, NOW, &mut first).unwrap().0, "hang");
    assert_eq!(wait(&set, NOW, &mut first), None);

    let mut second = RuleHits::default();
    assert_eq!(
        wait(&set, NOW, &mut second),
        Some(("limit".into(), ms(100), None))
    );
    assert_eq!(
        wait(&set, NOW + ms(40), &mut second),
        Some(("limit".into(), ms(60), None))
    );
    assert_eq!(wait(&set, NOW + ms(100), &mut second).unwrap().2, Some(3));
    second.take_lane(id);
    let rest = wait(&set, NOW + ms(100), &mut second);
    assert_eq!(
        rest,
        Some(("limit".into(), ms(900), None)),
        "a second for each 4 KiB"
    );
    assert_eq!(wait(&set, NOW + ms(1000), &mut second).unwrap().0, "delay");
    assert_eq!(set.armed()[2].fired(), 2, "each request counts once");
}

#[test]
fn selectors_choose_which_requests_a_limit_is_for() {
    let set = set(&["limit op=read iops=1 skip=1 times=2"]);
    let waits: Vec<_> = (0..5)
        .map(|_| wait(&set, NOW, &mut RuleHits::default()).map(|wait| wait.1.as_secs()))
        .collect();
    assert_eq!(waits, [None, None, Some(1), None, None]);
}

#[test]
fn limit_is_recorded_as_the_delay_that_it_was() {
    let set = set(&["limit op=read iops=10"]);
    let mut hits = RuleHits::default();
    hits.record = Some(Record::default());
    assert_eq!(wait(&set, NOW, &mut hits), None);
    assert_eq!(
        hits.record.take().unwrap().firings.len(),
        0,
        "it did not wait"
    );
    let mut hits = RuleHits::default();
    hits.record = Some(Record::default());
    wait(&set, NOW, &mut hits).unwrap();
    let record = hits.record.unwrap();
    assert_eq!(record.stages, [Stage::Delay]);
    let firing = &record.firings[0];
    assert_eq!(
        firing.note,
        Some("its time depended on the requests before it")
    );
    let replay = firing.replay(Op::Read, firing.at(RANGE), 2).to_string();
    assert_eq!(replay, "delay op=read by=100ms at=8+8 skip=1 times=1");
}

#[test]
fn request_that_is_dropped_before_it_passes_takes_nothing() {
    let set = set(&["limit op=read iops=1"]);
    let mut all: Vec<_> = (0..10)
        .map(|_| {
            let mut hits = RuleHits::default();
            wait(&set, NOW, &mut hits);
            hits
        })
        .collect();
    all.iter_mut().for_each(RuleHits::leave_limits);
    let next = wait(&set, NOW, &mut RuleHits::default()).unwrap();
    assert_eq!(next.1, Duration::from_secs(1), "the first one has passed");
}
