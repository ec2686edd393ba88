//! Rules at random.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::protocol::{Keep, PowerCut};
use crate::units::Probability;

fn duration() -> impl Strategy<Value = Duration> {
    (0_u64..1 << 44).prop_map(Duration::from_micros)
}

fn errno() -> impl Strategy<Value = Errno> {
    (1..=511)
        .prop_filter("the kernel's own", |n| *n != libc::ENOSYS)
        .prop_map(Errno)
}

fn at() -> impl Strategy<Value = At> {
    let start = prop_oneof![
        (0_u64..1 << 53).prop_map(Start::Sector),
        (0_u64..=1 << 54).prop_map(Start::BeforeEnd),
    ];
    (start, 1_u64..=1 << 53).prop_map(|(start, count)| At { start, count })
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![Just(Then::Ok), errno().prop_map(Then::Error)]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        (1_u32..=65_536).prop_map(How::Flip),
        any::<u8>().prop_map(How::Fill),
        Just(How::Zero),
        Just(How::Random),
    ]
}

fn probability() -> impl Strategy<Value = Probability> {
    (0.0..=1.0).prop_filter_map("from 0 to 1", Probability::new)
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![
        Just(Keep::None),
        Just(Keep::All),
        any::<u64>().prop_map(Keep::First),
        proptest::collection::vec(any::<u64>(), 1..4).prop_map(Keep::Only),
        probability().prop_map(Keep::Random),
    ]
}

prop_compose! {
    fn cut()(
        point in proptest::sample::select(CutPoint::ALL.to_vec()),
        scope in proptest::sample::select(CutScope::ALL.to_vec()),
        keep in keep(),
        tear in proptest::option::of(1_u64..1 << 54),
        garbage in proptest::option::of(probability()),
        seed in proptest::option::of(any::<u64>()),
    ) -> CutRule {
        CutRule { point, scope, cut: PowerCut { keep, tear, garbage, seed } }
    }
}

prop_compose! {
    fn limit()(
        rate in proptest::option::of(1_u64..=1 << 50),
        iops in proptest::option::of(1_u64..=1_000_000_000),
        burst in 0_u64..=1 << 50,
        lanes in proptest::option::of(1_u64..=1_000_000_000),
        mebibytes in any::<bool>(),
    ) -> Limit {
        let is_nothing = rate.is_none() && iops.is_none() && lanes.is_none();
        let rate = if is_nothing { Some(burst.max(1)) } else { rate };
        let rate = rate.map(|rate| if mebibytes { (rate >> 20).max(1) << 20 } else { rate });
        Limit { rate, iops, burst: rate.map_or(0, |_| burst), lanes }
    }
}

fn delay() -> impl Strategy<Value = DelayTime> {
    let two = || (duration(), duration());
    let rising = |(mut percents, mut times): (Vec<u32>, Vec<Duration>)| {
        percents.sort_unstable();
        percents.dedup();
        times.sort_unstable();
        let percents = percents.into_iter();
        let percents = percents.map(|percent| Real::new(f64::from(percent) / 1000.0).unwrap());
        DelayTime::Percentiles(percents.zip(times).collect())
    };
    prop_oneof![
        two().prop_map(|(a, b)| DelayTime::Range(a.min(b), a.max(b))),
        two().prop_map(|(mean, deviation)| DelayTime::Normal { mean, deviation }),
        two().prop_map(|(mean, deviation)| DelayTime::LogNormal {
            mean: mean + Duration::from_micros(1),
            deviation
        }),
        (duration(), 1_u32..100_000).prop_map(|(shortest, shape)| DelayTime::Pareto {
            shortest,
            shape: Real::new(f64::from(shape) / 100.0).unwrap(),
        }),
        (
            proptest::collection::vec(0_u32..=100_000, 1..6),
            proptest::collection::vec(duration(), 6),
        )
            .prop_map(rising),
    ]
}

/// Any values of an action.
fn action_of(kind: ActionKind) -> BoxedStrategy<Action> {
    let far = 1_i64..1 << 40;
    match kind {
        ActionKind::Error => errno().prop_map(Action::Error).boxed(),
        ActionKind::Delay => delay().prop_map(Action::Delay).boxed(),
        ActionKind::Hang => (duration(), then())
            .prop_map(|(max, then)| Action::Hang(max, then))
            .boxed(),
        ActionKind::Corrupt => how().prop_map(Action::Corrupt).boxed(),
        ActionKind::Lose => Just(Action::Lose).boxed(),
        ActionKind::Tear => (0_u64..=1 << 54, then())
            .prop_map(|(keep, then)| Action::Tear(keep, then))
            .boxed(),
        ActionKind::Misdirect => prop_oneof![far.clone(), far.prop_map(|by| -by)]
            .prop_map(Action::Misdirect)
            .boxed(),
        ActionKind::Stale => Just(Action::Stale).boxed(),
        ActionKind::Cut => cut().prop_map(Action::Cut).boxed(),
        ActionKind::Limit => limit().prop_map(Action::Limit).boxed(),
    }
}

fn action() -> impl Strategy<Value = Action> {
    proptest::sample::select(ActionKind::ALL.to_vec()).prop_flat_map(action_of)
}

prop_compose! {
    fn draw()(
        count in 1..=MOST_DRAWN,
        cluster in proptest::option::of(2..=MOST_DRAWN),
    ) -> Draw {
        Draw { count, cluster }
    }
}

prop_compose! {
    fn heal()(
        tries in 1_u64..=1_000_000_000_000_000,
        spares in proptest::option::of(0_u64..=1_000_000_000_000_000),
    ) -> Heal {
        Heal { tries, spares }
    }
}

prop_compose! {
    fn counting()(
        skip in 0_u64..=1_000_000_000_000_000,
        every in 1_u64..=1_000_000_000_000_000,
        times in proptest::option::of(0_u64..=1_000_000_000_000_000),
        seed in proptest::option::of(any::<u64>()),
        p in proptest::option::of(0.0..=1.0),
    ) -> (u64, u64, Option<u64>, Option<u64>, Option<Probability>) {
        (skip, every, times, seed, p.and_then(Probability::new))
    }
}

prop_compose! {
    fn timing()(
        after in duration(),
        lasts in proptest::option::of(duration()),
        cycle in proptest::option::of((1_u64..1 << 40, 0_u64..1 << 40)),
    ) -> (Duration, Option<Duration>, Option<(Duration, Duration)>) {
        let micros = |(up, down)| (Duration::from_micros(up), Duration::from_micros(down));
        (after, lasts, cycle.map(micros))
    }
}

prop_compose! {
    pub(super) fn rule()(
        action in action(),
        bits in 1_u8..32,
        per_sector: bool,
        client in proptest::option::of(proptest::sample::select(Client::ALL.to_vec())),
        at in proptest::collection::vec(at(), 0..4),
        draw in proptest::option::of(draw()),
        heal in proptest::option::of(heal()),
        size in proptest::option::of((any::<u64>(), any::<u64>())),
        (skip, every, times, seed, probability) in counting(),
        (after, lasts, cycle) in timing(),
        when in proptest::option::of("[a-z][a-z0-9._-]{0,20}"),
        tag in proptest::option::of("[A-Z][A-Z0-9._-]{0,20}"),
    ) -> Rule {
        let possible = action.kind().ops().iter();
        let chosen: Vec<_> = possible.filter(|op| bits & (1 << *op as u8) != 0).collect();
        let ops = Ops::of(&chosen);
        let heal = heal.filter(|_| action.kind() == ActionKind::Error);
        let healing = Ops::of(&[Op::Read, Op::Discard]);
        let ops = match heal {
            Some(_) if ops.without(healing).is_empty() && !ops.is_empty() => ops,
            Some(_) => Ops::of(&[Op::Read]),
            None => ops,
        };
        let reserved = |tag: &String| tag == "all" || Mode::named(tag).is_some();
        let has = |key| !action.kind().keys().contains(&key);
        let ops = if ops.is_empty() { action.kind().ops() } else { ops };
        let probability = probability.filter(|_| has(ActionKey::P));
        let can_draw = probability.is_some() && ops.iter().any(Op::has_range);
        Rule {
            ops,
            at, draw, heal,
            size: size.map(|(a, b)| SizeRange { min: a.min(b), max: a.max(b) }),
            client, skip, every, times, after, lasts, cycle,
            probability,
            per_sector: per_sector && can_draw,
            seed: seed.filter(|_| has(ActionKey::Seed)),
            when: when.filter(|tag| !reserved(tag)),
            tag: tag.filter(|tag| !reserved(tag)),
            ..Rule::new(action)
        }
    }
}
