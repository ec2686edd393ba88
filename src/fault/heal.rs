//! Bad sectors that are good again once they are written: the words of a rule, and what is left bad.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{IoRange, Op, Ranges};
use crate::protocol::names::SECTOR;
use crate::units::RangeMap;

/// How the sectors of a rule heal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heal {
    /// A sector heals when it is written for this time; writes before it fail. At least 1.
    pub tries: u64,
    /// At most this many sectors heal.
    pub spares: Option<u64>,
}

impl Default for Heal {
    fn default() -> Self {
        Self {
            tries: 1,
            spares: None,
        }
    }
}

/// Whether requests with `op` heal what they write.
pub(super) fn is_healing(op: Op) -> bool {
    match op {
        Op::Write | Op::Zero => true,
        Op::Read | Op::Flush | Op::Discard => false,
    }
}

/// What has become of the sectors of a rule.
#[derive(Debug)]
pub(super) struct Healing {
    heal: Heal,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// The sectors that are bad, each with how often a write of it was tried.
    bad: RangeMap<u64>,
    /// The whole sectors of writes that are being done, where there are not spares for all.
    claimed: Vec<(u64, Range<u64>)>,
    last_claim: u64,
    counts: HealCounts,
}

/// How many sectors have healed, and how many writes have failed instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealCounts {
    /// Sectors.
    pub healed: u64,
    /// Writes.
    pub refused: u64,
}

impl Healing {
    pub(super) fn new(heal: Heal, ranges: &Ranges, counts: HealCounts) -> Self {
        let mut bad = RangeMap::default();
        for (start, end) in ranges.iter() {
            bad.insert(start / SECTOR..end / SECTOR, 0);
        }
        let state = State {
            bad,
            counts,
            ..State::default()
        };
        Self {
            heal,
            state: state.into(),
        }
    }

    /// The same, as it is now, without what is claimed.
    pub(super) fn copy(&self) -> Self {
        let state = State {
            claimed: Vec::new(),
            ..self.state.lock().clone()
        };
        Self {
            heal: self.heal,
            state: state.into(),
        }
    }

    pub(super) fn counts(&self) -> HealCounts {
        self.state.lock().counts
    }

    /// The sectors that are bad, as ranges that do not touch each other.
    pub(super) fn bad(&self) -> Ranges {
        self.bad_in(0..u64::MAX)
    }

    /// Those of `sectors` that are bad.
    pub(super) fn bad_in(&self, sectors: Range<u64>) -> Ranges {
        let state = self.state.lock();
        let bad = state.bad.within(sectors).map(|(range, _)| range);
        Ranges::of_bytes(
            bad.map(|range| (range.start * SECTOR, range.end * SECTOR))
                .collect(),
        )
    }

    /// Whether the request touches a bad sector.
    pub(super) fn touches(&self, range: IoRange) -> bool {
        let state = self.state.lock();
        state.bad.within(touched(range)).next().is_some()
    }

    /// Counts a try to write the bad sectors that the request touches. None if it fails; else its claim of spares, if
    /// it needs one.
    fn attempt(&self, range: IoRange) -> Option<Option<u64>> {
        let mut state = self.state.lock();
        let is_ready = state.try_all(touched(range), self.heal.tries);
        match self.heal.spares {
            Some(spares) if is_ready => state.claim(whole(range.offset, range.end()), spares),
            _ => is_ready.then_some(None),
        }
    }

    /// Counts a write that fails.
    pub(super) fn refuse(&self) {
        self.state.lock().counts.refused += 1;
    }

    /// The sectors that are in it as a whole are written.
    fn written(&self, offset: u64, end: u64) {
        let mut state = self.state.lock();
        let spares = self.heal.spares.unwrap_or(u64::MAX);
        let mut left = spares.saturating_sub(state.counts.healed);
        let bad = state.bad.within(whole(offset, end)).map(|(range, _)| range);
        for mut range in bad.collect::<Vec<_>>() {
            range.end = range.end.min(range.start.saturating_add(left));
            let count = range.end - range.start;
            left -= count;
            state.counts.healed += count;
            state.bad.remove(&range);
        }
    }

    fn release(&self, claim: u64) {
        self.state.lock().claimed.retain(|(id, _)| *id != claim);
    }
}

impl State {
    /// Whether each bad sector in `sectors` has now been tried `tries` times.
    fn try_all(&mut self, sectors: Range<u64>, tries: u64) -> bool {
        let mut is_ready = true;
        if tries > 1 {
            let tried = self.bad.within(sectors);
            for (range, tried) in tried.map(|(range, n)| (range, *n)).collect::<Vec<_>>() {
                let tried = (tried + 1).min(tries);
                is_ready &= tried == tries;
                self.bad.insert_joined(range, tried);
            }
        }
        is_ready
    }

    /// Claims spares for the bad ones of `sectors`. None if there are not enough.
    fn claim(&mut self, sectors: Range<u64>, spares: u64) -> Option<Option<u64>> {
        if self.bad.within(sectors.clone()).next().is_none() {
            return Some(None);
        }
        let claimed = self.claimed.iter().map(|(_, range)| range.clone());
        let bytes = |range: Range<u64>| (range.start * SECTOR, range.end * SECTOR);
        let all = claimed.chain([sectors.clone()]).map(bytes).collect();
        let needed: u64 = Ranges::of_bytes(all)
            .iter()
            .flat_map(|(start, end)| self.bad.within(start / SECTOR..end / SECTOR))
            .map(|(range, _)| range.end - range.start)
            .sum();
        if self.counts.healed.saturating_add(needed) > spares {
            return None;
        }
        self.last_claim += 1;
        self.claimed.push((self.last_claim, sectors));
        Some(Some(self.last_claim))
    }
}

/// The sectors that a request touches.
fn touched(range: IoRange) -> Range<u64> {
    let (first, count) = range.sectors();
    first..first + count
}

/// The sectors that are in a range of bytes as a whole.
fn whole(offset: u64, end: u64) -> Range<u64> {
    let (first, last) = (offset.div_ceil(SECTOR), end / SECTOR);
    first..last.max(first)
}

/// A rule whose sectors a request heals where it writes them.
#[derive(Debug)]
pub struct Healer {
    healing: Arc<Healing>,
    claim: Option<u64>,
}

impl Healer {
    /// That of a request which is about to write to the sectors. None if the request fails.
    pub(super) fn of(healing: &Arc<Healing>, range: IoRange) -> Option<Self> {
        let claim = healing.attempt(range)?;
        let healing = Arc::clone(healing);
        Some(Self { healing, claim })
    }

    /// The bytes from `offset` up to `end` have been written.
    pub fn written(&self, offset: u64, end: u64) {
        self.healing.written(offset, end);
    }
}

impl Drop for Healer {
    fn drop(&mut self) {
        if let Some(claim) = self.claim {
            self.healing.release(claim);
        }
    }
}
