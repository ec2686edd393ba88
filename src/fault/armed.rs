//! A rule that is armed: since when, and what it has done so far.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::random::{Random, fnv};
use super::{Op, Rule, parse_rule};
use crate::duration::{parse_duration, show_duration};
use crate::names::SECTOR;

/// A request, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its kind.
    pub op: Op,
    /// Where its range starts, in bytes.
    pub offset: u64,
    /// How long its range is, in bytes; 0 for a flush.
    pub len: u64,
}

impl Ask {
    /// The first sector of its range, and how many it touches.
    pub fn sectors(self) -> (u64, u64) {
        let first = self.offset / SECTOR;
        let end = self.offset.saturating_add(self.len).div_ceil(SECTOR);
        (first, end - first)
    }
}

/// An armed rule. All snapshots of the set share its counters.
#[derive(Debug)]
pub struct Armed {
    /// Grows with each rule that is armed on a disk.
    pub id: u64,
    /// What was armed.
    pub rule: Rule,
    /// When, as the caller counts time.
    pub since: Duration,
    /// Where its random numbers begin.
    pub seed: u64,
    considered: AtomicU64,
    matched: AtomicU64,
    fired: AtomicU64,
}

/// That a rule acts on a request, with the random numbers for it.
#[derive(Debug)]
pub struct Fired {
    /// Drawn from for whatever the action needs.
    pub random: Random,
}

/// Why a rule does not act on a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum Why {
    #[error("it is for {0} alone")]
    Op(String),
    #[error("the request touches none of its sectors")]
    At,
    #[error("it is for the requests of guests alone")]
    NotFromGuest,
    #[error("the request has {0} bytes")]
    Size(u64),
    #[error("it begins {} from now", show_duration(*.0))]
    After(Duration),
    #[error("its time is over")]
    Over,
    #[error("it is down at the moment")]
    Down,
    #[error("no rule with the tag `{0}` has fired")]
    When(String),
    #[error("it passes over {0} more")]
    Skip(u64),
    #[error("it takes each {every}th, and this is number {number}")]
    Every { every: u64, number: u64 },
    #[error("the draw was against it")]
    Probability,
    #[error("it has fired as often as it may")]
    Times,
    #[error("an earlier rule decides: {0}")]
    Decided(String),
    #[error("its place is after the delay")]
    Later,
}

impl Armed {
    pub(super) fn new(id: u64, rule: Rule, since: Duration, disk_seed: u64) -> Self {
        // Rules of one disk draw differently, and the same again when all is repeated.
        let text = rule.to_string();
        let seed = rule
            .seed
            .unwrap_or_else(|| Random::at(disk_seed, fnv(text.as_bytes())).draw());
        Self {
            id,
            rule,
            since,
            seed,
            considered: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
        }
    }

    /// The texts of `rules`, as one line has them; `-` without any.
    pub fn texts(rules: &[Arc<Self>]) -> String {
        let texts: Vec<_> = rules.iter().map(|armed| armed.rule.to_string()).collect();
        match texts.is_empty() {
            true => "-".into(),
            false => texts.join("; "),
        }
    }

    /// How many requests of its kinds and sectors came to it so far, and were not decided before.
    pub fn considered(&self) -> u64 {
        self.considered.load(Ordering::SeqCst)
    }

    /// How many requests matched so far: the counting selectors choose among them.
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::SeqCst)
    }

    /// How often it acted so far.
    pub fn fired(&self) -> u64 {
        self.fired.load(Ordering::SeqCst)
    }

    /// Whether the request is one of those that the rule is for, now.
    pub(super) fn matches(&self, ask: Ask, now: Duration, tag_fired: bool) -> Result<(), Why> {
        let rule = &self.rule;
        if !rule.ops.contains(ask.op) {
            return Err(Why::Op(rule.ops.to_string()));
        }
        let end = ask.offset.saturating_add(ask.len);
        let overlaps = |(start, behind): (u64, u64)| start < end && ask.offset < behind;
        if !rule.at.is_empty() && !rule.at.iter().any(|at| overlaps(at.bytes())) {
            return Err(Why::At);
        }
        let fits = rule
            .size
            .is_none_or(|size| (size.min..=size.max).contains(&ask.len));
        if !fits {
            return Err(Why::Size(ask.len));
        }
        self.is_on(now)?;
        match &rule.when {
            Some(tag) if !tag_fired => Err(Why::When(tag.clone())),
            _ => Ok(()),
        }
    }

    fn is_on(&self, now: Duration) -> Result<(), Why> {
        let age = now.saturating_sub(self.since);
        let Some(age) = age.checked_sub(self.rule.after) else {
            return Err(Why::After(self.rule.after - age));
        };
        if self.rule.lasts.is_some_and(|lasts| age >= lasts) {
            return Err(Why::Over);
        }
        let Some((up, down)) = self.rule.cycle else {
            return Ok(());
        };
        match Duration::from_nanos((age.as_nanos() % (up + down).as_nanos()) as u64) < up {
            true => Ok(()),
            false => Err(Why::Down),
        }
    }

    /// Counts a request that comes to the rule.
    pub(super) fn consider(&self) {
        self.considered.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a request that matches, and says whether the rule acts on it.
    pub(super) fn count(&self) -> Result<Fired, Why> {
        let number = self.matched.fetch_add(1, Ordering::SeqCst) + 1;
        let random = self.choose(number)?;
        let most = self.rule.times.unwrap_or(u64::MAX);
        let one_more = |fired| (fired < most).then_some(fired + 1);
        let fired = self
            .fired
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        match fired {
            Ok(_) => Ok(Fired { random }),
            Err(_) => Err(Why::Times),
        }
    }

    /// What [`count`](Self::count) would say of the next request that matches. Counts nothing.
    pub(super) fn would_count(&self) -> Result<(), Why> {
        self.choose(self.matched() + 1)?;
        match self.rule.times {
            Some(times) if self.fired() >= times => Err(Why::Times),
            _ => Ok(()),
        }
    }

    /// Whether the rule takes the matching request with this number, from 1.
    fn choose(&self, number: u64) -> Result<Random, Why> {
        let rule = &self.rule;
        let Some(place) = number.checked_sub(rule.skip + 1) else {
            return Err(Why::Skip(rule.skip + 1 - number));
        };
        let place = place + 1;
        if place % rule.every != 0 {
            return Err(Why::Every {
                every: rule.every,
                number: place % rule.every,
            });
        }
        let mut random = Random::at(self.seed, place / rule.every);
        match rule.probability {
            Some(p) if random.unit() >= p.get() => Err(Why::Probability),
            _ => Ok(random),
        }
    }
}

/// What stands before the reason why a rule can never act, in its line of `rules`.
const NEVER: &str = " never: ";

/// What a line of `ctl/ID/rules` says: a rule, and what it has done. Prints as the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// The rule's text.
    pub rule: String,
    /// Requests of its kinds and sectors.
    pub considered: u64,
    /// Requests that it is for.
    pub matched: u64,
    /// How often it acted.
    pub fired: u64,
    /// How often it may still act, where that is limited.
    pub left: Option<u64>,
    /// How long ago it was armed.
    pub age: Duration,
    /// Where its random numbers begin.
    pub seed: u64,
    /// Why it can never act, if it cannot.
    pub never: Option<String>,
}

impl RuleState {
    /// The state of `armed` at `now`; `never` says why it can never act, if it cannot.
    pub fn of(armed: &Armed, now: Duration, never: Option<String>) -> Self {
        let fired = armed.fired();
        Self {
            rule: armed.rule.to_string(),
            considered: armed.considered(),
            matched: armed.matched(),
            fired,
            left: armed.rule.times.map(|times| times.saturating_sub(fired)),
            age: now.saturating_sub(armed.since),
            seed: armed.seed,
            never,
        }
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        let (line, never) = match line.split_once(NEVER) {
            Some((line, never)) => (line, Some(never.to_owned())),
            None => (line, None),
        };
        let (rule, counters) = line.split_once(" considered=")?;
        let mut words = counters.split_whitespace();
        let considered = words.next()?.parse().ok()?;
        let mut value = |key: &str| words.next()?.strip_prefix(key);
        Some(Self {
            rule: rule.to_owned(),
            considered,
            matched: value("matched=")?.parse().ok()?,
            fired: value("fired=")?.parse().ok()?,
            left: value("left=")?.parse().ok(),
            age: parse_duration(value("age=")?)?,
            seed: value("drawn_from=")?.parse().ok()?,
            never,
        })
    }

    /// Whether `name` is the rule's text, or its tag.
    pub fn is_called(&self, name: &str) -> bool {
        let last = self.rule.rsplit(' ').next();
        self.rule == name || last.and_then(|word| word.strip_prefix("tag=")) == Some(name)
    }

    /// The rule as it is armed, for a `now` of the caller's choice. None when its text is no rule.
    pub fn armed(&self, id: u64, now: Duration) -> Option<Armed> {
        Some(Armed {
            id,
            rule: parse_rule(&self.rule, 1).ok()?,
            since: now.saturating_sub(self.age),
            seed: self.seed,
            considered: self.considered.into(),
            matched: self.matched.into(),
            fired: self.fired.into(),
        })
    }
}

impl fmt::Display for RuleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            considered,
            matched,
            fired,
            left,
            age,
            seed,
            never,
        } = self;
        let left = left.map_or("-".to_owned(), |left| left.to_string());
        let age = show_duration(*age);
        write!(
            f,
            "{rule} considered={considered} matched={matched} fired={fired} left={left} age={age} \
             drawn_from={seed}"
        )?;
        match never {
            Some(never) => write!(f, "{NEVER}{never}"),
            None => Ok(()),
        }
    }
}
