//! The armed rules of a disk: an immutable list with an index, swapped whole.
//!
//! Times are counted from a moment of the caller's choice, the same for all calls.

use std::sync::Arc;
use std::time::Duration;

use super::index::Index;
use super::{Action, Armed, Ask, Edit, Errno, Fired, Rule, Then, Why};

/// The rules that are armed, in the order in which they were armed.
#[derive(Clone, Debug, Default)]
pub struct FaultSet {
    armed: Vec<Arc<Armed>>,
    index: Index,
    /// There is one for the requests of guests alone.
    tells_guests_apart: bool,
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
    considered: Vec<u64>,
    matched: Vec<u64>,
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
        Self {
            index: Index::of(&armed),
            tells_guests_apart: armed.iter().any(|armed| armed.rule.from_guest),
            armed,
        }
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
    pub fn concerns(&self, ask: Ask) -> bool {
        self.index.has(ask)
    }

    /// The set after `edits`, in order. Arming what is armed already keeps its place; its time and
    /// its counters begin anew.
    pub fn edited(&self, edits: &[Edit], arming: Arming) -> Result<Self, NoSuchTag> {
        let mut armed = self.armed.clone();
        let mut id = arming.first_id;
        for edit in edits {
            match edit {
                Edit::Add(rule) => {
                    let new = Armed::new(id, rule.clone(), arming.now, arming.seed);
                    id += 1;
                    match armed.iter_mut().find(|armed| armed.rule == *rule) {
                        Some(again) => *again = Arc::new(new),
                        None => armed.push(Arc::new(new)),
                    }
                }
                Edit::Remove(rule) => armed.retain(|armed| armed.rule != *rule),
                Edit::RemoveTag(tag) => {
                    let before = armed.len();
                    armed.retain(|armed| armed.rule.tag.as_ref() != Some(tag));
                    if armed.len() == before {
                        return Err(NoSuchTag(tag.clone()));
                    }
                }
            }
        }
        Ok(Self::of(armed))
    }

    /// Why a request has to wait at `now`, if it has to: all delays together, or else one hang.
    pub fn wait(&self, ask: Ask, now: Duration, seen: &mut Seen) -> Option<Wait> {
        let mut delay: Option<Wait> = None;
        for armed in self.candidates(ask) {
            match armed.rule.action {
                Action::Delay(min, max) => {
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
                // It is looked at again after the delay.
                Action::Hang(..) if delay.is_some() => {}
                Action::Hang(max, then) if self.fire(armed, ask, now, seen).is_ok() => {
                    return Some(Wait {
                        time: max,
                        then,
                        is_hang: true,
                        rules: vec![Arc::clone(armed)],
                    });
                }
                _ => {}
            }
        }
        delay
    }

    /// What happens at `now` to a request that is about to be served. The first rule that decides
    /// decides; what changes data comes in order.
    pub fn outcome(&self, ask: Ask, now: Duration, seen: &mut Seen) -> Outcome {
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
        ask: Ask,
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

    /// What would become of a request at `now`: every rule with why it would not act, if it would
    /// not. Counts nothing.
    pub fn explain(&self, ask: Ask, now: Duration) -> Vec<(Arc<Armed>, Result<(), Why>)> {
        let verdict = |armed: &Armed| {
            armed.matches(ask, now, self.has_fired(armed.rule.when.as_deref()))?;
            armed.would_count()
        };
        let mut decided: Option<(String, bool)> = None;
        // Deciders first: an error or a loss leaves nothing to change.
        let mut answers: Vec<_> = self
            .armed
            .iter()
            .map(|armed| (Arc::clone(armed), Ok(())))
            .collect();
        for (armed, answer) in &mut answers {
            let Some(decision) = decision_of(&armed.rule.action) else {
                continue;
            };
            let own = verdict(armed);
            *answer = match &decided {
                Some((by, _)) if own.is_ok() => Err(Why::Decided(by.clone())),
                _ => own.clone(),
            };
            if answer.is_ok() {
                let undone = !matches!(decision, Decision::Tear(..));
                decided = Some((armed.rule.to_string(), undone));
            }
        }
        for (armed, answer) in &mut answers {
            if decision_of(&armed.rule.action).is_some() {
                continue;
            }
            let changes = is_change(&armed.rule.action);
            *answer = match &decided {
                Some((by, true)) if changes => verdict(armed).and(Err(Why::Decided(by.clone()))),
                _ => verdict(armed),
            };
        }
        answers
    }

    /// Whether a rule with this tag has fired; true without a tag.
    fn has_fired(&self, tag: Option<&str>) -> bool {
        let Some(tag) = tag else { return true };
        let tagged = |armed: &&Arc<Armed>| armed.rule.tag.as_deref() == Some(tag);
        self.armed
            .iter()
            .filter(tagged)
            .any(|armed| armed.fired() > 0)
    }

    fn fire(&self, armed: &Armed, ask: Ask, now: Duration, seen: &mut Seen) -> Result<Fired, Why> {
        if seen.matched.contains(&armed.id) {
            return Err(Why::Later);
        }
        if armed.rule.from_guest && seen.of_test {
            return Err(Why::NotFromGuest);
        }
        if !seen.considered.contains(&armed.id) {
            seen.considered.push(armed.id);
            armed.consider();
        }
        armed.matches(ask, now, self.has_fired(armed.rule.when.as_deref()))?;
        seen.matched.push(armed.id);
        armed.count()
    }

    /// The rules that may match, in the order in which they were armed.
    fn candidates(&self, ask: Ask) -> Vec<&Arc<Armed>> {
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
