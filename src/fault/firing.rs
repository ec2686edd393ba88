//! A fault that has acted, as a rule that does the same to the same request of another run.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Action, Armed, At, CutRule, DelayTime, How, IoRange, Op, Ops, Pause, Phase, Random, Ranges,
    Rule, Sectors,
};
use crate::protocol::Keep;
use crate::protocol::names::SECTOR;
use crate::units::{Probability, listed};

/// Why a replay of an error that came late is not exact.
const LATE: &str = "it acted after the I/O, and the replay acts before it";

/// Why a replay of a limit is not exact.
const BY_LOAD: &str = "its time depended on the requests before it";

listed! {
    /// When rules are asked about a request. A rule counts a request at the stage of its action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Stage {
        /// Before anything else: limits, and after them delays.
        Delay,
        /// After all delays.
        Hang,
        /// When what becomes of it is decided.
        Decide,
        /// When it is served, unless it was decided that it is not.
        Change,
    }
}

impl Phase {
    /// The stage of a rule that acts in it.
    pub fn stage(self) -> Stage {
        match self {
            Self::Wait(Pause::Limit | Pause::Delay) => Stage::Delay,
            Self::Wait(Pause::Hang(..)) => Stage::Hang,
            Self::Decide(_) => Stage::Decide,
            Self::Change(_) => Stage::Change,
        }
    }
}

/// A rule that has acted on a request, and what it has drawn.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The rule.
    pub rule: Arc<Armed>,
    /// Why a replay may differ.
    pub note: Option<&'static str>,
    /// Its action with the values that were drawn.
    action: Action,
    /// The random numbers that are left.
    random: Random,
    /// The bytes that it acts on, unless that is the whole request.
    pieces: Option<Ranges>,
}

impl Firing {
    pub(super) fn of(rule: &Arc<Armed>, random: &Random) -> Self {
        Self::drawn(rule, rule.rule.action.clone(), random)
    }

    /// That of a rule that has a request wait for `time`.
    pub(super) fn delaying(rule: &Arc<Armed>, time: Duration, random: &Random) -> Self {
        Self::drawn(rule, Action::Delay(DelayTime::fixed(time)), random)
    }

    /// That of a rule whose action has drawn a value.
    fn drawn(rule: &Arc<Armed>, action: Action, random: &Random) -> Self {
        Self {
            rule: Arc::clone(rule),
            note: None,
            action,
            random: random.clone(),
            pieces: None,
        }
    }

    /// The same of a rule that acts on these bytes of the request alone.
    pub(super) fn only(self, pieces: Ranges) -> Self {
        let pieces = Some(pieces);
        Self { pieces, ..self }
    }

    /// The same, after the I/O.
    pub(super) fn late(self) -> Self {
        let note = Some(LATE);
        Self { note, ..self }
    }

    /// The same, for as long as other requests had it wait.
    pub(super) fn by_load(self) -> Self {
        let note = Some(BY_LOAD);
        Self { note, ..self }
    }

    /// When it has acted.
    pub fn stage(&self) -> Stage {
        self.action.phase().stage()
    }

    /// The sectors of a rule that does the same to the request of `range`: those of the request, or only those that
    /// it acts on. None for a request without a range.
    pub fn at(&self, range: IoRange) -> Vec<Sectors> {
        if range.len == 0 {
            return Vec::new();
        }
        let (start, count) = range.sectors();
        let whole = Sectors { start, count };
        let Some(pieces) = &self.pieces else {
            return vec![whole];
        };
        let sectors = pieces.iter().map(|(from, to)| Sectors {
            start: from / SECTOR,
            count: to.div_ceil(SECTOR) - from / SECTOR,
        });
        sectors.collect()
    }

    /// A rule that does the same to the request that is the `touch`th, from 1, of those with `op` that touch `at`.
    pub fn replay(&self, op: Op, at: Vec<Sectors>, touch: u64) -> Rule {
        let original = &self.rule.rule;
        let action = self.action_again();
        let draws = matches!(action, Action::Corrupt(How::Flip(_) | How::Random));
        // Bits are flipped in each sector apart. The replay draws all sectors, and takes no number for that.
        let flips = matches!(action, Action::Corrupt(How::Flip(_)));
        let per_sector = original.per_sector && flips;
        Rule {
            ops: Ops::of(&[op]),
            at: at.into_iter().map(At::from).collect(),
            client: original.client,
            skip: touch.saturating_sub(1),
            times: Some(1),
            probability: Probability::new(1.0).filter(|_| per_sector),
            per_sector,
            seed: draws.then(|| self.random.seed_at(touch)),
            tag: original.tag.clone(),
            ..Rule::new(action)
        }
    }

    /// The action, where a power cut says what decides which requests survive.
    fn action_again(&self) -> Action {
        let Action::Cut(rule) = &self.action else {
            return self.action.clone();
        };
        let is_random = matches!(rule.cut.keep, Keep::Random(_)) || rule.cut.garbage.is_some();
        let cut = match is_random {
            true => rule.with_seed(self.random.clone().draw()),
            false => rule.cut.clone(),
        };
        Action::Cut(CutRule {
            cut,
            ..rule.clone()
        })
    }
}

impl Rule {
    /// The rule of a replay that passes over `skip` requests instead: it draws the same numbers for another one.
    #[must_use]
    pub fn passing_over(self, skip: u64) -> Self {
        let number = |skip: u64| skip.saturating_add(1);
        let again = |seed| Random::at(seed, number(self.skip)).seed_at(number(skip));
        Self {
            seed: self.seed.map(again),
            skip,
            ..self
        }
    }

    /// The same as a rule that `is_armed` does not know: of equal rules only one would act. What draws nothing takes
    /// another seed, and what draws another tag.
    #[must_use]
    pub fn unlike(mut self, is_armed: impl Fn(&Self) -> bool) -> Self {
        let draws = self.seed.is_some();
        let mut number = 0;
        while is_armed(&self) {
            match draws {
                true => self.tag = Some(format!("again-{number}")),
                false => self.seed = Some(number),
            }
            number += 1;
        }
        self
    }
}
