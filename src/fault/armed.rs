//! A rule that is armed: since when, and what it has done so far.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::random::Random;
use super::{Op, Ranges, Rule};
use crate::protocol::names::SECTOR;
use crate::units::duration::show_duration;

/// A request, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoRange {
    /// Its kind.
    pub op: Op,
    /// Where its range starts, in bytes.
    pub offset: u64,
    /// How long its range is, in bytes; 0 for a flush.
    pub len: u64,
}

impl IoRange {
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
    /// How often it was armed while it was armed.
    pub times_armed: u64,
    /// What it is for.
    pub ranges: Ranges,
    /// Its text as it is shown beside requests, once it was.
    pub(super) short: OnceLock<String>,
    considered: AtomicU64,
    matched: AtomicU64,
    fired: AtomicU64,
    /// A rule with the tag that it waits for has fired, and is no more.
    woken: AtomicBool,
}

/// What a rule has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of its kinds and sectors that were not decided before.
    pub considered: u64,
    /// Requests that it is for.
    pub matched: u64,
    /// How often it acted.
    pub fired: u64,
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
    #[error("it takes one of {every}, and this is number {number}")]
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
        Self {
            id,
            since,
            // Nothing else of a rule changes what it draws.
            seed: rule.seed.unwrap_or(disk_seed),
            times_armed: 1,
            ranges: Ranges::of(&rule.at),
            short: OnceLock::new(),
            rule,
            considered: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            woken: AtomicBool::new(false),
        }
    }

    /// The same, armed once more after so many times.
    pub(super) fn in_place_of(self, times_armed: u64) -> Self {
        Self {
            times_armed: times_armed + 1,
            ..self
        }
    }

    /// The same with counters of its own, which begin at `counts`.
    pub(super) fn counting_from(self, counts: Counts, woken: bool) -> Self {
        Self {
            considered: counts.considered.into(),
            matched: counts.matched.into(),
            fired: counts.fired.into(),
            woken: woken.into(),
            ..self
        }
    }

    /// A copy that counts on its own.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new(self.id, self.rule.clone(), self.since, self.seed);
        copy.counting_from(self.counts(), self.is_woken())
    }

    /// What it has counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            considered: self.considered.load(Ordering::SeqCst),
            matched: self.matched(),
            fired: self.fired(),
        }
    }

    /// Lets it wait no more for the tag of its `when=`.
    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
    }

    /// Whether it was told so.
    pub(super) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
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
    pub(super) fn matches(&self, ask: IoRange, now: Duration, tag_fired: bool) -> Result<(), Why> {
        let rule = &self.rule;
        if !rule.ops.contains(ask.op) {
            return Err(Why::Op(rule.ops.to_string()));
        }
        let end = ask.offset.saturating_add(ask.len);
        if !rule.at.is_empty() && !self.ranges.overlap(ask.offset, end) {
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
        let place = number.saturating_sub(rule.skip);
        if place == 0 {
            return Err(Why::Skip((rule.skip - number).saturating_add(1)));
        }
        if !place.is_multiple_of(rule.every) {
            return Err(Why::Every {
                every: rule.every,
                number: place % rule.every,
            });
        }
        let mut random = Random::at(self.seed, number);
        match rule.probability {
            Some(p) if random.unit() >= p.get() => Err(Why::Probability),
            _ => Ok(random),
        }
    }
}
