//! The armed rules of a disk: an immutable list with an index, swapped whole.
//!
//! Times are counted from a moment of the caller's choice, the same for all calls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::index::Index;
use super::{Action, Armed, Fired, IoRange, Rule, Then, Why};
use crate::protocol::Errno;

/// The rules that are armed, in the order in which they were armed.
#[derive(Clone, Debug, Default)]
pub struct FaultSet {
    armed: Vec<Arc<Armed>>,
    index: Index,
    /// There is one for the requests of guests alone.
    tells_guests_apart: bool,
    ids: HashSet<u64>,
    /// Places by tag.
    tags: HashMap<String, Vec<usize>>,
}

/// What arming takes from the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arming {
    /// When.
    pub now: Duration,
    /// Where random numbers begin that no rule says.
    pub seed: u64,
    /// The number of the first rule that is armed now; each has one more than the one before.
    pub first_id: u64,
}

/// An edit that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule has the tag `{0}`, and it is no mode")]
pub struct NoSuchTag(pub String);

/// The rules that have counted a request already. A request is looked at several times, and
/// counted once.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The request is a sector call of a test: rules for guests alone pass it by.
    pub of_test: bool,
    considered: HashSet<u64>,
    matched: HashSet<u64>,
}

/// Why a request has to wait, and for how long.
#[derive(Clone, Debug)]
pub struct Wait {
    /// How long at most.
    pub time: Duration,
    /// How it goes on then; a delay goes on.
    pub then: Then,
    /// Somebody may release it.
    pub is_hang: bool,
    /// The rules that it waits for.
    pub rules: Vec<Arc<Armed>>,
}

/// What happens to a request that waits no more.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What becomes of it instead of what was asked for.
    pub decision: Option<(Decision, Arc<Armed>)>,
    /// What happens to its data or its place, in this order.
    pub changes: Vec<(Fired, Arc<Armed>)>,
}

impl Outcome {
    /// The rules that act.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Armed>> {
        let deciding = self.decision.iter().map(|(_, rule)| rule);
        deciding.chain(self.changes.iter().map(|(_, rule)| rule))
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It fails.
    Error(Errno),
    /// It is acknowledged, and nothing is done.
    Lose,
    /// So many sectors of it are done.
    Tear(u64, Then),
}

impl FaultSet {
    /// The set of these rules, in this order.
    pub fn of(armed: Vec<Arc<Armed>>) -> Self {
        let mut tags: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, armed) in armed.iter().enumerate() {
            if let Some(tag) = &armed.rule.tag {
                tags.entry(tag.clone()).or_default().push(place);
            }
        }
        Self {
            index: Index::of(&armed),
            tells_guests_apart: armed.iter().any(|armed| armed.rule.from_guest),
            ids: armed.iter().map(|armed| armed.id).collect(),
            tags,
            armed,
        }
    }

    /// Whether the rule with this id is armed.
    pub fn has(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }

    /// Whether a rule has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.contains_key(tag)
    }

    /// The armed rules, oldest first.
    pub fn armed(&self) -> &[Arc<Armed>] {
        &self.armed
    }

    /// The rules themselves, oldest first.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.armed.iter().map(|armed| &armed.rule)
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Whether it matters who a request is from.
    pub fn tells_guests_apart(&self) -> bool {
        self.tells_guests_apart
    }

    /// Whether there is a rule for such a request. Most requests meet none, and need no clock.
    pub fn concerns(&self, ask: IoRange) -> bool {
        self.index.has(ask)
    }

    /// Why a request has to wait at `now`, if it has to: all delays together, and once they are over
    /// one hang after the other.
    pub fn wait(&self, ask: IoRange, now: Duration, seen: &mut Seen) -> Option<Wait> {
        let candidates = self.candidates(ask);
        let delay = self.delay(&candidates, ask, now, seen);
        delay.or_else(|| self.hang(&candidates, ask, now, seen))
    }

    fn delay(
        &self,
        candidates: &[&Arc<Armed>],
        ask: IoRange,
        now: Duration,
        seen: &mut Seen,
    ) -> Option<Wait> {
        let mut delay: Option<Wait> = None;
        for armed in candidates {
            let Action::Delay(min, max) = armed.rule.action else {
                continue;
            };
            let Ok(mut fired) = self.fire(armed, ask, now, seen) else {
                continue;
            };
            let spread = (max - min).as_nanos() as u64;
            let more = fired.random.below(spread.saturating_add(1));
            let wait = delay.get_or_insert(Wait {
                time: Duration::ZERO,
                then: Then::Ok,
                is_hang: false,
                rules: Vec::new(),
            });
            wait.time += min + Duration::from_nanos(more);
            wait.rules.push(Arc::clone(armed));
        }
        delay
    }

    fn hang(
        &self,
        candidates: &[&Arc<Armed>],
        ask: IoRange,
        now: Duration,
        seen: &mut Seen,
    ) -> Option<Wait> {
        candidates.iter().find_map(|armed| {
            let Action::Hang(max, then) = armed.rule.action else {
                return None;
            };
            self.fire(armed, ask, now, seen).ok()?;
            Some(Wait {
                time: max,
                then,
                is_hang: true,
                rules: vec![Arc::clone(armed)],
            })
        })
    }

    /// What happens at `now` to a request that is about to be served. The first rule that decides
    /// decides; what changes data comes in order.
    pub fn outcome(&self, ask: IoRange, now: Duration, seen: &mut Seen) -> Outcome {
        let candidates = self.candidates(ask);
        let decision = candidates.iter().find_map(|armed| {
            let decision = decision_of(&armed.rule.action)?;
            self.fire(armed, ask, now, seen).ok()?;
            Some((decision, Arc::clone(armed)))
        });
        if decision.is_some() {
            // What is decided stays so: only what is armed from now on is asked after the I/O.
            let deciding = candidates
                .iter()
                .filter(|armed| decision_of(&armed.rule.action).is_some());
            seen.matched.extend(deciding.map(|armed| armed.id));
        }
        let nothing_is_done = matches!(decision, Some((Decision::Error(_) | Decision::Lose, _)));
        let mut changes = Vec::new();
        let changing = candidates
            .iter()
            .filter(|armed| is_change(&armed.rule.action));
        for armed in changing.filter(|_| !nothing_is_done) {
            if let Ok(fired) = self.fire(armed, ask, now, seen) {
                changes.push((fired, Arc::clone(armed)));
            }
        }
        Outcome { decision, changes }
    }

    /// How a request fails at `now` that has been served, if a rule says so that was armed, or
    /// began to act, meanwhile.
    pub fn late_error(
        &self,
        ask: IoRange,
        now: Duration,
        seen: &mut Seen,
    ) -> Option<(Errno, Arc<Armed>)> {
        self.candidates(ask)
            .into_iter()
            .find_map(|armed| match armed.rule.action {
                Action::Error(errno) => {
                    self.fire(armed, ask, now, seen).ok()?;
                    Some((errno, Arc::clone(armed)))
                }
                _ => None,
            })
    }

    /// Whether the rule waits for no tag, or for one that a rule has that has fired.
    pub(super) fn is_awake(&self, armed: &Armed) -> bool {
        let Some(tag) = &armed.rule.when else {
            return true;
        };
        let mut tagged = self.tags.get(tag).into_iter().flatten();
        armed.is_woken() || tagged.any(|place| self.armed[*place].fired() > 0)
    }

    fn fire(
        &self,
        armed: &Armed,
        ask: IoRange,
        now: Duration,
        seen: &mut Seen,
    ) -> Result<Fired, Why> {
        if seen.matched.contains(&armed.id) {
            return Err(Why::Later);
        }
        if armed.rule.from_guest && seen.of_test {
            return Err(Why::NotFromGuest);
        }
        if seen.considered.insert(armed.id) {
            armed.consider();
        }
        armed.matches(ask, now, self.is_awake(armed))?;
        seen.matched.insert(armed.id);
        armed.count()
    }

    /// The rules that may match, in the order in which they were armed.
    fn candidates(&self, ask: IoRange) -> Vec<&Arc<Armed>> {
        let found = self.index.find(ask);
        found
            .into_iter()
            .map(|at| &self.armed[at as usize])
            .collect()
    }
}

fn decision_of(action: &Action) -> Option<Decision> {
    match *action {
        Action::Error(errno) => Some(Decision::Error(errno)),
        Action::Lose => Some(Decision::Lose),
        Action::Tear(keep, then) => Some(Decision::Tear(keep, then)),
        _ => None,
    }
}

fn is_change(action: &Action) -> bool {
    matches!(
        action,
        Action::Corrupt(_) | Action::Misdirect(_) | Action::Stale
    )
}
