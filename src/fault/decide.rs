//! What the armed rules do to a request: waiting, the outcome, and errors that come late.
//!
//! A request is looked at when it arrives, after each wait, and after its I/O. Each rule counts it once.

use std::sync::Arc;
use std::time::Duration;

use super::armed::Draw;
use super::candidates::Candidates;
use super::heal::is_healing;
use super::{
    Action, Armed, Change, Decision, FaultSet, Firing, Healer, IoRange, Random, Ranges, RuleHits,
    Stage, Then, Why,
};
use crate::protocol::Errno;

/// Why a request has to wait, and for how long.
#[derive(Clone, Debug)]
pub struct Wait {
    /// How long at most.
    pub time: Duration,
    /// So much of it is drawn from distributions. They are of what a client measures: it takes its way too.
    pub measured: Duration,
    /// How it goes on then; after a delay it is served.
    pub then: Then,
    /// It may be released before.
    pub is_hang: bool,
    /// It waits until fewer than so many requests have a lane of its rule, whatever the time.
    pub lanes: Option<u64>,
    /// The rules that it waits for.
    pub rules: Vec<Arc<Armed>>,
}

/// What happens to a request that does not have to wait any more.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What becomes of it instead of what was asked for.
    pub decision: Option<(Decision, Arc<Armed>)>,
    /// The seed for what the decision draws: the rule's own for this request.
    pub seed: u64,
    /// What is lost of it, each byte once: all of it where [`Decision::Lose`] was decided.
    pub lost: Vec<Loss>,
    /// What happens to its data or its place, in this order.
    pub changes: Vec<FiredChange>,
    /// Bad sectors that it heals where it writes them.
    pub healers: Vec<Healer>,
}

/// A part of a request that is acknowledged and never done.
#[derive(Debug)]
pub struct Loss {
    /// The bytes; none of a flush.
    pub pieces: Ranges,
    /// The rule that loses them.
    pub rule: Arc<Armed>,
}

/// A change of a request's data or place.
#[derive(Debug)]
pub struct FiredChange {
    /// What is changed.
    pub change: Change,
    /// The random numbers for it.
    pub random: Random,
    /// The bytes of the request that are changed.
    pub pieces: Ranges,
    /// The rule that says so.
    pub rule: Arc<Armed>,
}

impl Outcome {
    /// The rules that act.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Armed>> {
        let deciding = self.decision.iter();
        let deciding = deciding.filter(|(decision, _)| *decision != Decision::Lose);
        let losing = self.lost.iter().map(|loss| &loss.rule);
        losing
            .chain(deciding.map(|(_, rule)| rule))
            .chain(self.changes.iter().map(|fired| &fired.rule))
    }
}

impl FaultSet {
    /// Why a request has to wait at `now`, if it has to: for one limit after the other, then for all delays together,
    /// and once they are over for one hang after the other. With a lane it goes on as with `RuleHits::take_lane`.
    pub fn wait(&self, range: IoRange, now: Duration, hits: &mut RuleHits) -> Option<Wait> {
        self.wait_for(&self.candidates(range), now, hits)
    }

    /// The same where the candidates of the request are known.
    pub fn wait_for(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Option<Wait> {
        let limit = self.limit(candidates, now, hits);
        let delay = limit.or_else(|| self.delay(candidates, now, hits));
        delay.or_else(|| self.hang(candidates, now, hits))
    }

    fn delay(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Option<Wait> {
        hits.enter(Stage::Delay);
        let (mut time, mut measured, mut rules) = (Duration::ZERO, Duration::ZERO, Vec::new());
        for armed in &candidates.delaying {
            let Action::Delay(by) = &armed.rule.action else {
                continue;
            };
            if let Ok(Draw { mut random, .. }) = self.fire(armed, candidates.range, now, hits) {
                let drawn = by.draw(&mut random);
                hits.acted(|| Firing::delaying(armed, drawn, &random));
                time += drawn;
                if by.is_distribution() {
                    measured += drawn;
                }
                rules.push(Arc::clone(armed));
            }
        }
        (!rules.is_empty()).then_some(Wait {
            time,
            measured,
            then: Then::Ok,
            is_hang: false,
            lanes: None,
            rules,
        })
    }

    fn hang(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Option<Wait> {
        hits.enter(Stage::Hang);
        let mut holding = candidates.holding.iter();
        let hang = holding.find(|(armed, ..)| {
            let fired = self.fire(armed, candidates.range, now, hits);
            fired.is_ok_and(|draw| {
                hits.acted(|| Firing::of(armed, &draw.random));
                true
            })
        });
        hang.map(|(armed, max, then)| Wait {
            time: *max,
            measured: Duration::ZERO,
            then: *then,
            is_hang: true,
            lanes: None,
            rules: vec![Arc::clone(armed)],
        })
    }

    /// What happens at `now` to a request that is about to be served. The first rule that decides
    /// decides, but one that loses a part leaves the rest to the next; what changes data comes in order.
    pub fn outcome(&self, range: IoRange, now: Duration, hits: &mut RuleHits) -> Outcome {
        self.outcome_of(&self.candidates(range), now, hits)
    }

    /// The same where the candidates of the request are known.
    pub fn outcome_of(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Outcome {
        let range = candidates.range;
        let (mut lost, mut healers) = (Vec::new(), Vec::new());
        let decision = self.decision(candidates, now, hits, &mut lost, &mut healers);
        let (decision, seed) = decision.unzip();
        let is_done = decision
            .as_ref()
            .is_none_or(|(decision, _)| !decision.leaves_undone());
        if is_done {
            hits.enter(Stage::Change);
        }
        let changing = candidates.changing.iter().filter(|_| is_done);
        let changes = changing.filter_map(|(armed, change)| {
            let Draw { random, sectors } = self.fire(armed, range, now, hits).ok()?;
            let pieces = sectors.unwrap_or_else(|| armed.pieces(range));
            hits.acted(|| Firing::of(armed, &random).only(pieces.clone()));
            Some(FiredChange {
                change: *change,
                random,
                pieces,
                rule: Arc::clone(armed),
            })
        });
        Outcome {
            changes: changes.collect(),
            healers,
            decision,
            seed: seed.unwrap_or_default(),
            lost,
        }
    }

    /// What is decided; rules that lose a part take it out of the request before.
    fn decision(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
        lost: &mut Vec<Loss>,
        healers: &mut Vec<Healer>,
    ) -> Option<((Decision, Arc<Armed>), u64)> {
        let range = candidates.range;
        hits.enter(Stage::Decide);
        let mut left = None;
        let mut deciding = candidates.deciding.iter();
        let first = deciding.find_map(|(armed, decision)| {
            let (decision, Draw { random, sectors }) = match decision {
                Some(decision) => (*decision, self.fire(armed, range, now, hits).ok()?),
                None => self.refusal(armed, range, now, hits, healers)?,
            };
            if decision == Decision::Lose {
                let pieces = sectors.unwrap_or_else(|| armed.pieces(range));
                let before = left.take().unwrap_or_else(|| Ranges::whole(range));
                let (more, rest) = before.split(&pieces);
                lost.push(Loss {
                    pieces: more,
                    rule: Arc::clone(armed),
                });
                if !rest.is_empty() {
                    hits.acted(|| Firing::of(armed, &random).only(pieces));
                    left = Some(rest);
                    return None;
                }
            }
            hits.acted(|| Firing::of(armed, &random));
            Some((armed, decision, random))
        });
        let (armed, decision, mut random) = first?;
        if !decision.leaves_undone() {
            let later = deciding.filter(|(_, decision)| decision.is_none());
            healers.extend(later.filter_map(|(armed, _)| self.healer(armed, range, now, hits)?));
        }
        // A decision is final: after the I/O only rules are asked that were armed since.
        for (armed, _) in &candidates.deciding {
            hits.note_match(armed);
        }
        Some(((decision, Arc::clone(armed)), random.draw()))
    }

    /// How a request fails that would heal sectors of the rule, if it does; else it heals them once it is done. The
    /// rule does not count it.
    fn refusal(
        &self,
        armed: &Armed,
        range: IoRange,
        now: Duration,
        hits: &RuleHits,
        healers: &mut Vec<Healer>,
    ) -> Option<(Decision, Draw)> {
        if let Some(healer) = self.healer(armed, range, now, hits)? {
            healers.push(healer);
            return None;
        }
        armed.healing.as_ref()?.refuse();
        let decision = armed.rule.action.phase().decision()?;
        let draw = Draw {
            random: Random::at(armed.seed, range.offset),
            sectors: None,
        };
        Some((decision, draw))
    }

    /// None if the rule has nothing to do with the request; else what heals its sectors, unless these cannot be written.
    fn healer(
        &self,
        armed: &Armed,
        range: IoRange,
        now: Duration,
        hits: &RuleHits,
    ) -> Option<Option<Healer>> {
        armed.is_for(hits.client).ok()?;
        armed.is_active(now, self.is_awake(armed)).ok()?;
        Some(Healer::of(armed.healing.as_ref()?, range))
    }

    /// How a request that has been served fails at `now`: by a rule that was armed, or began to act,
    /// meanwhile.
    pub fn late_error(
        &self,
        range: IoRange,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Option<(Errno, Arc<Armed>)> {
        let candidates = self.candidates(range);
        hits.enter(Stage::Decide);
        candidates.deciding.iter().find_map(|(armed, decision)| {
            let errno = match decision {
                Some(Decision::Error(errno)) => *errno,
                // Too late: the image has been changed.
                Some(Decision::Lose | Decision::Tear(..) | Decision::Cut(_)) | None => return None,
            };
            let Draw { random, .. } = self.fire(armed, range, now, hits).ok()?;
            hits.acted(|| Firing::of(armed, &random).late());
            Some((errno, Arc::clone(armed)))
        })
    }

    /// Counts the request for the rule, and draws what it needs if it acts.
    pub(super) fn fire(
        &self,
        armed: &Armed,
        range: IoRange,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Result<Draw, Why> {
        if hits.has_matched(armed) {
            return Err(Why::Counted);
        }
        armed.is_for(hits.client)?;
        hits.consider(armed);
        armed.matches(range, now, self.is_awake(armed))?;
        hits.note_match(armed);
        armed.count(range)
    }

    /// The rules that may act on such a request. Where a part of it may be served at another place, also those whose
    /// sectors it may heal there.
    pub fn candidates(&self, range: IoRange) -> Candidates<'_> {
        let mut candidates = Candidates::of(range, self.matching(range));
        if is_healing(range.op) && candidates.may_misdirect() {
            candidates.add_healing(self.armed());
        }
        candidates
    }
}
