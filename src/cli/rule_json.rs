//! A rule as JSON has it: its text, and what the text says as fields with units in their names.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::fault::{
    Action, At, Client, CutRule, DelayTime, Heal, How, Mode, Op, Rule, Start, Then, parse_rule,
};
use crate::protocol::{Keep, Remark, RuleLine};

/// A rule.
#[derive(Debug, Serialize)]
pub(super) struct RuleJson {
    /// As `faults` has it.
    text: String,
    /// The mode that it is: None if it selects anything else.
    mode: Option<&'static str>,
    /// None for a rule that only a newer server knows.
    action: Option<&'static str>,
    ops: Vec<&'static str>,
    /// The values of the action.
    values: Map<String, Value>,
    /// The selectors that it says, without `op`.
    selectors: Map<String, Value>,
}

/// An armed rule.
#[derive(Debug, Serialize)]
pub(super) struct ArmedJson {
    #[serde(flatten)]
    rule: RuleJson,
    considered: u64,
    matched: u64,
    fired: u64,
    /// None without `times=`.
    left: Option<u64>,
    age_seconds: f64,
    drawn_from: u64,
    woken: bool,
    /// What is left bad of sectors that were found when it was armed; None of a rule that has none.
    bad: Option<Vec<Value>>,
    /// How many sectors have healed, and how many writes have failed instead; None of a rule without `heal=`.
    healed: Option<u64>,
    refused: Option<u64>,
    /// Why it can never act.
    never: Option<String>,
    note: Option<String>,
}

impl RuleJson {
    /// The rule with this text.
    pub(super) fn of(text: &str) -> Self {
        let rule = parse_rule(text, 1).ok();
        let rule = rule.as_ref();
        Self {
            text: text.to_owned(),
            mode: rule.and_then(mode).map(Mode::name),
            action: rule.map(|rule| rule.action.kind().name()),
            ops: rule.map_or_else(Vec::new, |rule| rule.ops.iter().map(Op::name).collect()),
            values: rule.map(all_values).unwrap_or_default(),
            selectors: rule.map(selectors).unwrap_or_default(),
        }
    }
}

impl From<RuleLine> for ArmedJson {
    fn from(line: RuleLine) -> Self {
        let (never, note) = match line.remark {
            Some(Remark::Never(why)) => (Some(why), None),
            Some(Remark::Note(note)) => (None, Some(note)),
            None => (None, None),
        };
        Self {
            rule: RuleJson::of(&line.rule),
            considered: line.counts.considered,
            matched: line.counts.matched,
            fired: line.counts.fired,
            left: line.left,
            age_seconds: line.age.as_secs_f64(),
            drawn_from: line.seed,
            woken: line.woken,
            bad: line.bad.map(|bad| bad.iter().map(sectors_json).collect()),
            healed: line.healed.map(|(healed, _)| healed),
            refused: line.healed.map(|(_, refused)| refused),
            never,
            note,
        }
    }
}

/// A range of sectors.
pub(super) fn sectors_json((start, count): &(u64, u64)) -> Value {
    json!({ "sector": start, "sectors": count })
}

fn mode(rule: &Rule) -> Option<Mode> {
    Mode::ALL.into_iter().find(|mode| mode.rule() == *rule)
}

/// The object in `value`, without the keys that say nothing.
fn object(value: Value) -> Map<String, Value> {
    let Value::Object(mut map) = value else {
        return Map::new();
    };
    map.retain(|_, value| !value.is_null());
    map
}

fn all_values(rule: &Rule) -> Map<String, Value> {
    let mut all = values(&rule.action);
    if let Some(Heal { tries, spares }) = rule.heal {
        all.extend(object(
            json!({ "heal": "write", "tries": tries, "spares": spares }),
        ));
    }
    all
}

fn values(action: &Action) -> Map<String, Value> {
    object(match action {
        Action::Error(errno) => json!({ "errno": errno.to_string() }),
        Action::Delay(by) => delay_values(by),
        Action::Hang(max, then) => {
            json!({ "max_seconds": max.as_secs_f64(), "then": then_text(*then) })
        }
        Action::Corrupt(how) => match how {
            How::Flip(bits) => json!({ "how": "flip", "bits": bits }),
            How::Zero => json!({ "how": "zero" }),
            How::Random => json!({ "how": "random" }),
            How::Fill(byte) => json!({ "how": "fill", "byte": byte }),
        },
        Action::Tear(keep, then) => json!({ "keep_sectors": keep, "then": then_text(*then) }),
        Action::Misdirect(by) => json!({ "by_sectors": by }),
        Action::Cut(rule) => cut_values(rule),
        Action::Limit(limit) => json!({
            "rate_bytes_per_second": limit.rate,
            "iops": limit.iops,
            "burst_bytes": limit.rate.map(|_| limit.burst),
            "lanes": limit.lanes,
        }),
        Action::Lose | Action::Stale => Value::Null,
    })
}

fn delay_values(by: &DelayTime) -> Value {
    let seconds = Duration::as_secs_f64;
    let distributed = |shape: &str, mean: &Duration, deviation: &Duration| json!({ "by_shape": shape, "by_mean_seconds": seconds(mean), "by_deviation_seconds": seconds(deviation) });
    match by {
        DelayTime::Range(min, max) => {
            json!({ "by_min_seconds": seconds(min), "by_max_seconds": seconds(max) })
        }
        DelayTime::Normal { mean, deviation } => distributed("normal", mean, deviation),
        DelayTime::LogNormal { mean, deviation } => distributed("lognormal", mean, deviation),
        DelayTime::Pareto { shortest, shape } => {
            json!({ "by_shape": "pareto", "by_shortest_seconds": seconds(shortest), "by_exponent": shape.get() })
        }
        DelayTime::Percentiles(points) => {
            let points = points.iter();
            let points = points.map(
                |(percent, time)| json!({ "percent": percent.get(), "seconds": seconds(time) }),
            );
            json!({ "by_shape": "percentiles", "by_percentiles": points.collect::<Vec<_>>() })
        }
    }
}

fn then_text(then: Then) -> String {
    match then {
        Then::Ok => "ok".to_owned(),
        Then::Error(errno) => errno.to_string(),
    }
}

fn cut_values(rule: &CutRule) -> Value {
    let (keep, first, only, p) = match &rule.cut.keep {
        Keep::None => ("none", None, None, None),
        Keep::All => ("all", None, None, None),
        Keep::First(first) => ("first", Some(first), None, None),
        Keep::Only(numbers) => ("only", None, Some(numbers), None),
        Keep::Random(p) => ("random", None, None, Some(p.get())),
    };
    json!({
        "point": rule.point.name(),
        "scope": rule.scope.name(),
        "keep": keep,
        "keep_first": first,
        "keep_only": only,
        "p": p,
        "seed": rule.cut.seed,
        "tear_sectors": rule.cut.tear,
        "garbage": rule.cut.garbage.map(|p| p.get()),
    })
}

fn selectors(rule: &Rule) -> Map<String, Value> {
    let at = |at: &At| match at.start {
        Start::Sector(start) => json!({ "sector": start, "sectors": at.count }),
        Start::BeforeEnd(before) => json!({ "sectors_before_end": before, "sectors": at.count }),
    };
    let at: Vec<_> = rule.at.iter().map(at).collect();
    let seconds = |time: Duration| time.as_secs_f64();
    let max = rule.size.map(|size| size.max);
    object(json!({
        "at": (!at.is_empty()).then_some(at),
        "sectors": rule.draw.map(|draw| draw.count),
        "cluster": rule.draw.and_then(|draw| draw.cluster),
        "size_min_bytes": rule.size.map(|size| size.min),
        "size_max_bytes": max.filter(|max| *max < u64::MAX),
        "client": rule.client.map(Client::name),
        "skip": (rule.skip > 0).then_some(rule.skip),
        "every": (rule.every > 1).then_some(rule.every),
        "p": rule.probability.map(|p| p.get()),
        "per": rule.per_sector.then_some("sector"),
        "seed": rule.seed,
        "times": rule.times,
        "after_seconds": (!rule.after.is_zero()).then(|| seconds(rule.after)),
        "for_seconds": rule.lasts.map(seconds),
        "up_seconds": rule.cycle.map(|(up, _)| seconds(up)),
        "down_seconds": rule.cycle.map(|(_, down)| seconds(down)),
        "when": rule.when,
        "tag": rule.tag,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{ActionKind, Selector};

    fn of(text: &str) -> Value {
        serde_json::to_value(RuleJson::of(text)).unwrap()
    }

    #[test]
    fn rule_has_its_text_and_its_fields_with_units() {
        assert_eq!(
            of("slow at=8+1,16+2 times=3 after=1500ms"),
            json!({
                "text": "slow at=8+1,16+2 times=3 after=1500ms",
                "mode": null,
                "action": "delay",
                "ops": ["read", "write", "zero"],
                "values": { "by_min_seconds": 0.05, "by_max_seconds": 0.05 },
                "selectors": {
                    "at": [{ "sector": 8, "sectors": 1 }, { "sector": 16, "sectors": 2 }],
                    "times": 3,
                    "after_seconds": 1.5,
                },
            })
        );
        for (text, mode) in [
            ("eio_read", json!("eio_read")),
            ("error errno=EIO op=read", json!("eio_read")),
            ("eio_read tag=t", Value::Null),
            ("eio_read for=1s", Value::Null),
        ] {
            assert_eq!(of(text)["mode"], mode, "{text}");
        }
        assert_eq!(
            of("eio_read at=1M+4K,end-8+8")["selectors"]["at"],
            json!([
                { "sector": 2048, "sectors": 8 },
                { "sectors_before_end": 8, "sectors": 8 },
            ])
        );
        let newer = of("explode op=read");
        assert_eq!(
            (&newer["action"], &newer["ops"]),
            (&Value::Null, &json!([]))
        );
    }

    #[test]
    fn each_key_of_each_example_is_a_field() {
        let examples = ActionKind::ALL.map(ActionKind::example).into_iter();
        let more = [
            "corrupt how=fill byte=1",
            "cut keep=only=1,2 garbage=0.1",
            "cut keep=first=3",
        ];
        for text in examples
            .chain(Selector::ALL.map(Selector::example))
            .chain(more)
        {
            let json = of(text);
            for word in text
                .split(' ')
                .skip(1)
                .filter(|word| !word.starts_with("op="))
            {
                let key = word.split('=').next().unwrap();
                let has = |part: &str| {
                    let keys = json[part].as_object().unwrap().keys();
                    keys.clone()
                        .any(|name| name == key || name.starts_with(&format!("{key}_")))
                };
                assert!(has("values") || has("selectors"), "{word} of {json}");
            }
        }
    }
}
