//! Each profile: its rules can act, its sources are named, and its figures are those of its sources.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::fault::{Arming, DiskKind, Edit, FaultSet, IoRange, Op, Rule, RuleHits, parse_rule};

/// When rules are armed.
const NOW: Duration = Duration::from_secs(100);

fn armed(name: &str, words: &[&str]) -> FaultSet {
    let settings = Settings::parse(words.iter().copied()).unwrap();
    let rules = Profile::named(name).unwrap().rules(&settings).unwrap();
    let edits: Vec<_> = rules.into_iter().map(Edit::Add).collect();
    let arming = Arming {
        now: NOW,
        seed: 7,
        disk_sectors: 1 << 17,
        first_id: 1,
    };
    FaultSet::default().edited(&edits, arming).unwrap()
}

#[test]
fn profile_names_its_sources_and_has_rules_that_act() {
    for profile in Profile::all() {
        let name = profile.name;
        assert!(
            !profile.title.is_empty() && !profile.models.is_empty(),
            "{name}"
        );
        assert!(!profile.sources.is_empty(), "{name}");
        for parameter in &profile.parameters {
            assert!(!parameter.about.is_empty(), "{name}: {parameter:?}");
        }
        let set = armed(name, &[]);
        let disk = DiskKind {
            size: 64 << 20,
            read_only: false,
            longest: 1 << 20,
        };
        let remarks: Vec<_> = set.remarks(disk).flatten().collect();
        assert!(!set.is_empty() && remarks.is_empty(), "{name}: {remarks:?}");
    }
}

#[test]
fn text_of_a_profile_is_a_text_of_rules_and_names_each_source_in_a_comment() {
    for profile in Profile::all() {
        let text = profile.text(&Settings::default()).unwrap();
        for source in &profile.sources {
            assert!(text.contains(&format!("\n# Source: {source}\n")), "{text}");
        }
        let rules = profile.rules(&Settings::default()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let parsed: Vec<_> = lines.map(|line| parse_rule(line, 1).unwrap()).collect();
        assert_eq!(parsed, rules);
    }
}

#[test]
fn rules_of_a_profile_have_seeds_of_their_own_which_follow_the_seed_given() {
    let seeds = |seed: &str| {
        let set = armed("ebs-increasing-latency", &[seed]);
        set.rules()
            .map(|rule| rule.seed.unwrap())
            .collect::<BTreeSet<_>>()
    };
    let (first, second) = (seeds("seed=1"), seeds("seed=2"));
    assert_eq!(first.len(), 10);
    assert_eq!(first, seeds("seed=1"));
    assert!(first.is_disjoint(&second));
    for name in names() {
        for rule in armed(name, &[]).rules() {
            assert!(
                rule.probability.is_none() || rule.seed.is_some(),
                "{name}: {rule}"
            );
        }
    }
}

#[test]
fn scale_multiplies_the_times_of_phases_and_no_latencies() {
    let rules = |words: &[&str]| {
        let set = armed("ebs-decreasing-latency", words);
        set.rules().map(ToString::to_string).collect::<Vec<_>>()
    };
    let without_times = |rule: &String| {
        let words = rule.split(' ');
        let words = words.filter(|word| !word.starts_with("after=") && !word.starts_with("for="));
        words.collect::<Vec<_>>().join(" ")
    };
    let (whole, short) = (rules(&[]), rules(&["scale=0.01"]));
    assert!(
        whole[2].contains("by=5s") && whole[2].contains("after=3m for=3m"),
        "{whole:?}"
    );
    assert!(
        short[2].contains("by=5s") && short[2].contains("after=1800ms for=1800ms"),
        "{short:?}"
    );
    let texts = |rules: &[String]| rules.iter().map(without_times).collect::<Vec<_>>();
    assert_eq!(texts(&whole), texts(&short));
    let set = armed("ebs-decreasing-latency", &["scale=0.000001"]);
    assert!(set.rules().all(|rule| rule.lasts.unwrap() > Duration::ZERO));
    let set = armed("flaky-link", &["up=20s", "scale=0.1"]);
    let rule = set.rules().next().unwrap().to_string();
    assert_eq!(rule, "hang op=all max=5s then=EIO after=2s up=1s down=2s");
}

#[test]
fn settings_that_are_none_are_explained() {
    let error = |words: &[&str]| {
        let settings = Settings::parse(words.iter().copied());
        let profile = Profile::named("flaky-link").unwrap();
        settings
            .and_then(|it| profile.text(&it))
            .unwrap_err()
            .to_string()
    };
    for (words, expected) in [
        (
            &["sed=1"][..],
            "did you mean `seed`? (valid: up, down, seed, scale)",
        ),
        (&["fast"], "write KEY=VALUE"),
        (&["=1"], "write KEY=VALUE"),
        (&["seed=-1"], "a whole number below 2^64"),
        (&["scale=0"], "a number from 0.000001"),
        (&["scale=NaN"], "a number from 0.000001"),
        (&["up=1s", "up=2s"], "`up=` is given twice"),
        (&["up=soon"], "is not a rule: line 1"),
        (&["up=1s\nslow"], "`up=` expects a value, in one word"),
        (&["up="], "`up=` expects a value"),
    ] {
        let said = error(words);
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let said = Profile::named("flaky-lnk").unwrap_err().to_string();
    assert!(
        said.contains("did you mean `flaky-link`? (valid: "),
        "{said}"
    );
}

/// A phase: when it begins and ends, in seconds; what share of reads and of writes waits, and for how many
/// milliseconds.
type PhaseOf = (u64, u64, f64, f64, u64);

/// The four templates, as the page of Amazon EBS has them.
const TEMPLATES: [(&str, &[PhaseOf]); 4] = [
    ("ebs-sustained-latency", &[(0, 900, 0.5, 1.0, 500)]),
    (
        "ebs-increasing-latency",
        &[
            (0, 180, 0.1, 0.25, 50),
            (180, 360, 0.1, 0.25, 200),
            (360, 540, 0.1, 0.25, 700),
            (540, 720, 0.1, 0.25, 1_000),
            (720, 900, 0.1, 0.25, 15_000),
        ],
    ),
    (
        "ebs-intermittent-latency",
        &[
            (0, 60, 0.001, 0.001, 30_000),
            (60, 360, 0.0, 0.0, 0),
            (360, 480, 0.001, 0.001, 10_000),
            (480, 780, 0.0, 0.0, 0),
            (780, 900, 0.001, 0.001, 20_000),
        ],
    ),
    (
        "ebs-decreasing-latency",
        &[
            (0, 180, 0.1, 0.1, 20_000),
            (180, 360, 0.1, 0.1, 5_000),
            (360, 540, 0.1, 0.1, 900),
            (540, 720, 0.1, 0.1, 300),
            (720, 900, 0.1, 0.1, 40),
        ],
    ),
];

/// A request of `op`.
fn io(op: Op) -> IoRange {
    IoRange {
        op,
        offset: 0,
        len: 4096,
    }
}

/// What share of the requests of `op` waits at `age`, and for how long; as the rules say.
fn delayed(set: &FaultSet, op: Op, age: Duration) -> Option<(f64, Duration)> {
    let is_on = |rule: &&Rule| {
        let end = rule.after + rule.lasts.unwrap();
        rule.ops.contains(op) && (rule.after..end).contains(&age)
    };
    let mut rules = set.rules().filter(is_on);
    let rule = rules.next()?;
    assert!(rules.next().is_none(), "one rule at a time");
    let share = rule.probability.map_or(1.0, crate::units::Probability::get);
    let wait = |_: u32| set.wait(io(op), NOW + age, &mut RuleHits::default());
    // Of this many requests at least one waits.
    let wait = (0..20_000).find_map(wait).unwrap();
    Some((share, wait.time))
}

#[test]
fn phase_of_an_ebs_template_delays_the_share_of_the_page_by_its_latency() {
    for (name, phases) in TEMPLATES {
        let set = armed(name, &["seed=3", "scale=0.1"]);
        for (begin, end, reads, writes, latency) in phases {
            let first = Duration::from_millis(begin * 100);
            let last = Duration::from_millis(end * 100 - 1);
            for (age, op) in [first, last]
                .into_iter()
                .flat_map(|age| Op::ALL.map(|op| (age, op)))
            {
                let share = match op {
                    Op::Read => *reads,
                    Op::Write | Op::Zero => *writes,
                    Op::Flush | Op::Discard => 0.0,
                };
                let expected = (share > 0.0).then_some((share, Duration::from_millis(*latency)));
                assert_eq!(delayed(&set, op, age), expected, "{name}, {age:?}, {op:?}");
            }
        }
        assert_eq!(delayed(&set, Op::Write, Duration::from_secs(90)), None);
    }
}

#[test]
fn share_of_requests_that_wait_in_a_phase_is_that_of_the_page() {
    for (name, phases) in TEMPLATES {
        let set = armed(name, &["seed=5"]);
        let phases = phases
            .iter()
            .filter(|(.., reads, _, _)| *reads > 0.01)
            .take(2);
        for (begin, _, reads, writes, _) in phases {
            let now = NOW + Duration::from_secs(*begin);
            for (op, share) in [(Op::Read, reads), (Op::Write, writes)] {
                let waits = |_: &u32| set.wait(io(op), now, &mut RuleHits::default()).is_some();
                let found = (0..40_000).filter(waits).count() as f64 / 40_000.0;
                let what = format!("{name}, {begin} s, {op:?}: {found}");
                assert!((found - share).abs() <= share * 0.05, "{what}");
            }
        }
    }
}
