//! A rule that is armed: since when, and what it has done so far.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::heal::{Healing, is_healing};
use super::limit::Pace;
use super::per_sector::{self, most_sectors};
use super::{Arming, Client, HealCounts, IoRange, Op, Random, Ranges, Rule, Sectors, Why};
use crate::protocol::Counts;
use crate::protocol::names::SECTOR;
use crate::units::Probability;

/// An armed rule. All snapshots of the set share its counters.
#[derive(Debug)]
pub struct Armed {
    /// Its number on the disk: later rules have larger ones.
    pub id: u64,
    /// What was armed.
    pub rule: Rule,
    /// When, as the caller counts time.
    pub since: Duration,
    /// The seed of its random numbers.
    pub seed: u64,
    /// How often it has been armed without being removed.
    pub times_armed: u64,
    /// The bytes that it is for: those of its `at=` on the disk as large as it was then, or those that were drawn.
    pub ranges: Ranges,
    /// Which of them are bad, if they heal.
    pub(super) healing: Option<Arc<Healing>>,
    /// How many whole sectors the disk had then.
    pub(super) disk_sectors: u64,
    /// Its text, once it has been shown.
    text: OnceLock<Box<str>>,
    /// That of a limit, once it has been asked for.
    pace: OnceLock<Box<Pace>>,
    considered: AtomicU64,
    matched: AtomicU64,
    fired: AtomicU64,
    /// A rule with the tag of its `when=` has fired, and has been removed.
    woken: AtomicBool,
    /// Its counters are those of an earlier time, to which a checkpoint went back.
    pub is_returned: bool,
}

/// What a rule draws for a request on which it acts.
pub(super) struct Draw {
    /// The random numbers that are left.
    pub(super) random: Random,
    /// With `per=sector`, the bytes of the sectors that were drawn.
    pub(super) sectors: Option<Ranges>,
}

impl Armed {
    pub(super) fn new(id: u64, rule: Rule, arming: Arming) -> Self {
        // Nothing else of a rule changes what it draws.
        let seed = rule.own_seed().unwrap_or(arming.seed);
        let ranges = ranges(&rule, arming.disk_sectors, seed);
        Self::on(id, rule, arming, ranges, HealCounts::default())
    }

    /// A rule for these bytes, of which the sectors are bad that heal.
    pub(super) fn on(
        id: u64,
        rule: Rule,
        arming: Arming,
        ranges: Ranges,
        healed: HealCounts,
    ) -> Self {
        let healing = rule.heal.map(|heal| Healing::new(heal, &ranges, healed));
        Self {
            id,
            since: arming.now,
            seed: rule.own_seed().unwrap_or(arming.seed),
            times_armed: 1,
            ranges,
            healing: healing.map(Arc::new),
            disk_sectors: arming.disk_sectors,
            text: OnceLock::new(),
            pace: OnceLock::new(),
            rule,
            considered: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            woken: AtomicBool::new(false),
            is_returned: false,
        }
    }

    /// The same, armed once more than `times_armed` times.
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

    /// A copy that counts on its own, and is armed that much later.
    pub(super) fn later(&self, by: Duration) -> Self {
        Self {
            since: self.since + by,
            times_armed: self.times_armed,
            is_returned: true,
            ..self.copy()
        }
    }

    /// A copy that counts on its own.
    pub(super) fn copy(&self) -> Self {
        let arming = Arming {
            now: self.since,
            seed: self.seed,
            disk_sectors: self.disk_sectors,
            first_id: 0,
        };
        let healing = self.healing.as_ref().map(|healing| healing.copy().into());
        let plain = Rule {
            heal: None,
            ..self.rule.clone()
        };
        let copy = Self::on(
            self.id,
            plain,
            arming,
            self.ranges.clone(),
            HealCounts::default(),
        );
        let copy = Self {
            rule: self.rule.clone(),
            healing,
            ..copy
        };
        copy.counting_from(self.counts(), self.is_woken())
    }

    /// The operations of the requests that it has to see: also those that heal its sectors.
    pub(super) fn sees(&self) -> impl Iterator<Item = Op> {
        let heals = self.healing.is_some();
        let is_healer = move |op: &Op| heals && is_healing(*op);
        let ops = self.rule.ops;
        Op::ALL
            .into_iter()
            .filter(move |op| ops.contains(*op) || is_healer(op))
    }

    /// The sectors of its ranges; of those that heal, what is left bad.
    pub fn bad_sectors(&self) -> Vec<Sectors> {
        match &self.healing {
            Some(healing) => healing.bad().sectors().collect(),
            None => self.ranges.sectors().collect(),
        }
    }

    /// The text of its rule. It is made once.
    pub fn text(&self) -> &str {
        self.text
            .get_or_init(|| self.rule.to_string().into_boxed_str())
    }

    /// How many requests it has done something to.
    pub(super) fn acted(&self) -> u64 {
        self.fired() + self.healed().map_or(0, |counts| counts.refused)
    }

    /// How many sectors have healed, if they do.
    pub fn healed(&self) -> Option<HealCounts> {
        self.healing.as_ref().map(|healing| healing.counts())
    }

    /// The pace of the requests that it limits.
    pub(super) fn pace(&self) -> &Pace {
        self.pace.get_or_init(Box::default)
    }

    /// What it has counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            considered: self.considered.load(Ordering::SeqCst),
            matched: self.matched(),
            fired: self.fired(),
        }
    }

    /// Ends its wait for the tag of its `when=`.
    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
    }

    /// Whether [`wake`](Self::wake) has ended its wait.
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

    /// Fails if it is not for the requests of `client`.
    pub(super) fn is_for(&self, client: Client) -> Result<(), Why> {
        match self.rule.client {
            Some(meant) if meant != client => Err(Why::Client(meant)),
            _ => Ok(()),
        }
    }

    /// Whether the request matches all selectors but the counting ones, at `now`.
    pub(super) fn matches(
        &self,
        range: IoRange,
        now: Duration,
        tag_fired: bool,
    ) -> Result<(), Why> {
        let rule = &self.rule;
        if !rule.ops.contains(range.op) {
            return Err(Why::Op(rule.ops));
        }
        if !self.overlaps(range) {
            return Err(Why::At);
        }
        if rule.per_sector && range.len == 0 {
            return Err(Why::At);
        }
        if rule.size.is_some_and(|size| !size.contains(range.len)) {
            return Err(Why::Size(range.len));
        }
        self.is_active(now, tag_fired)
    }

    /// Whether the request touches one of its sectors that are bad.
    fn overlaps(&self, range: IoRange) -> bool {
        match &self.healing {
            Some(healing) => healing.touches(range),
            None => self.rule.is_anywhere() || self.ranges.overlap(range.offset, range.end()),
        }
    }

    /// Whether it acts at all at `now`.
    pub(super) fn is_active(&self, now: Duration, tag_fired: bool) -> Result<(), Why> {
        self.is_on(now)?;
        match &self.rule.when {
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

    /// The bytes of the request that it is for.
    pub(super) fn pieces(&self, range: IoRange) -> Ranges {
        self.ranges.cut(range.offset, range.end())
    }

    /// Counts a request that matches. What is drawn for it, if the rule acts on it.
    pub(super) fn count(&self, range: IoRange) -> Result<Draw, Why> {
        let number = self.matched.fetch_add(1, Ordering::SeqCst) + 1;
        let draw = self.choose(number, range)?;
        let most = self.rule.times.unwrap_or(u64::MAX);
        let one_more = |fired| (fired < most).then_some(fired + 1);
        let fired = self
            .fired
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        match fired {
            Ok(_) => Ok(draw),
            Err(_) => Err(Why::Times),
        }
    }

    /// What [`count`](Self::count) would say of the next request that matches. Counts nothing.
    pub(super) fn would_count(&self, range: IoRange) -> Result<(), Why> {
        self.choose(self.matched() + 1, range)?;
        match self.rule.times {
            Some(times) if self.fired() >= times => Err(Why::Times),
            _ => Ok(()),
        }
    }

    /// What is drawn for the matching request with this number, from 1, if the rule takes it.
    fn choose(&self, number: u64, range: IoRange) -> Result<Draw, Why> {
        let rule = &self.rule;
        let place = number.saturating_sub(rule.skip);
        if place == 0 {
            return Err(Why::Skip((rule.skip - number).saturating_add(1)));
        }
        if !place.is_multiple_of(rule.every) {
            return Err(Why::Every {
                every: rule.every,
                skip: rule.skip,
                number,
            });
        }
        let mut random = Random::at(self.seed, number);
        let sectors = match rule.probability {
            Some(p) if rule.per_sector => Some(self.draw_sectors(range, p, &mut random)),
            Some(p) if random.unit() >= p.get() => return Err(Why::Probability),
            Some(_) | None => None,
        };
        match sectors {
            Some(sectors) if sectors.is_empty() => Err(Why::Probability),
            sectors => Ok(Draw { random, sectors }),
        }
    }

    /// The bytes of the sectors that are drawn, of those that the request has as a whole.
    fn draw_sectors(&self, range: IoRange, p: Probability, random: &mut Random) -> Ranges {
        let first = range.offset.next_multiple_of(SECTOR);
        let end = range.end() / SECTOR * SECTOR;
        let end = end.max(first);
        let parts = match &self.healing {
            Some(healing) => healing.bad_in(first / SECTOR..end / SECTOR),
            None => self.ranges.cut(first, end),
        };
        per_sector::draw(&parts, p, random, most_sectors(&self.rule.action))
    }
}

fn ranges(rule: &Rule, disk_sectors: u64, seed: u64) -> Ranges {
    let disk = Sectors {
        start: 0,
        count: disk_sectors,
    };
    let all = match rule.at.as_slice() {
        [] if rule.is_anywhere() => return Ranges::all(),
        [] => Ranges::of([disk]),
        at => Ranges::of(at.iter().filter_map(|at| at.on(disk_sectors))),
    };
    match rule.draw {
        Some(draw) => {
            let (start, end) = disk.bytes();
            draw.from(&Ranges::of_bytes(all.within(start, end).collect()), seed)
        }
        None => all,
    }
}
