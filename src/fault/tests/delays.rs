//! The times that a `delay` draws.

use super::*;

/// The delays of the first `requests` of a rule with this `by=`, in microseconds.
fn drawn(by: &str, requests: u64) -> Vec<u64> {
    let Action::Delay(by) = parse_rule(&format!("delay by={by}"), 1).unwrap().action else {
        panic!("{by} is no delay");
    };
    let times = (1..=requests).map(|number| by.draw(&mut Random::at(42, number)));
    times.map(|time| time.as_micros() as u64).collect()
}

const NORMAL: &str = "normal:10ms,2ms";
const LOG_NORMAL: &str = "lognormal:10ms,5ms";
const PARETO: &str = "pareto:1ms,1.5";
const MEASURED: &str = "p50:1ms,p99:20ms,p99.9:500ms";
const FROM_0_TO_100: &str = "p0:0s,p50:1ms,p100:2ms";

#[test]
fn shaped_delay_is_drawn_from_seed_and_number_alone() {
    for (by, expected) in [
        (NORMAL, [9230, 9282, 9117, 11551, 11220]),
        (LOG_NORMAL, [7456, 7548, 7261, 12903, 11931]),
        (PARETO, [1154, 1312, 1089, 1693, 1152]),
        (FROM_0_TO_100, [2, 96, 0, 1005, 2]),
    ] {
        assert_eq!(drawn(by, 5), expected, "{by}");
    }
}

#[test]
fn hundred_thousand_delays_have_the_percentiles_of_their_shape() {
    for (by, expected) in [
        // The exact ones: 5347, 8651, 10000, 11349, 14653, 16180.
        (NORMAL, [5363, 8650, 10005, 11345, 14617, 16137]),
        // 2982, 6501, 8944, 12305, 26828, 38424.
        (LOG_NORMAL, [2992, 6502, 8954, 12287, 26614, 38108]),
        // 1007, 1211, 1587, 2520, 21544, 100000.
        (PARETO, [1007, 1211, 1582, 2503, 21279, 95352]),
        (MEASURED, [1000, 1000, 1000, 1128, 20000, 499_542]),
        (FROM_0_TO_100, [0, 10, 1000, 1405, 2000, 2000]),
    ] {
        let mut times = drawn(by, 100_000);
        times.sort_unstable();
        let percentiles = [1000, 25_000, 50_000, 75_000, 99_000, 99_900];
        assert_eq!(percentiles.map(|at| times[at - 1]), expected, "{by}");
    }
}

#[test]
fn delay_is_neither_negative_nor_longer_than_a_year() {
    let longest = LONGEST.as_micros() as u64;
    assert!(drawn("normal:1ms,1s", 1000).contains(&0));
    assert!(drawn("pareto:1s,0.01", 1000).contains(&longest));
    for by in [
        "pareto:1s,0.0000001",
        "normal:0s,8760h",
        "lognormal:1us,8760h",
    ] {
        assert!(drawn(by, 1000).iter().all(|time| *time <= longest), "{by}");
    }
    assert!(drawn("pareto:0s,1", 100).iter().all(|time| *time == 0));
}

#[test]
fn single_percentile_is_always_its_time() {
    assert!(drawn("p50:3ms", 100).iter().all(|time| *time == 3000));
    let up_to = drawn("p0:1ms,p100:3ms", 100);
    assert!(up_to.iter().all(|time| (1000..=3000).contains(time)));
    assert!(drawn("p100:3ms", 100).iter().all(|time| *time == 3000));
}

#[test]
fn firing_of_a_shaped_delay_is_recorded_with_the_time_that_was_drawn() {
    let set = set(&["delay by=normal:10ms,2ms seed=42"]);
    let range = io(Op::Read, 8, 8);
    let mut hits = RuleHits::default();
    hits.record = Some(Record::default());
    let wait = set.wait(range, NOW, &mut hits).unwrap();
    assert_eq!(wait.time, Duration::from_micros(9230));
    let firing = hits.record.unwrap().firings.remove(0);
    let replay = firing.replay(Op::Read, firing.at(range), 1).to_string();
    assert_eq!(replay, "delay op=read by=9230us at=8+8 times=1");
}

#[test]
fn only_what_is_drawn_from_a_distribution_counts_the_way_of_the_client() {
    let set = set(&[
        "delay by=5ms",
        "delay by=normal:10ms,2ms seed=42",
        "delay by=3ms..4ms",
    ]);
    let wait = set.wait(io(Op::Read, 8, 8), NOW, &mut RuleHits::default());
    let wait = wait.unwrap();
    assert_eq!(wait.measured, Duration::from_micros(9230));
    let others = wait.time - wait.measured;
    assert!((8..=9).contains(&others.as_millis()), "{others:?}");
}
