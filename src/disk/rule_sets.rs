//! The two fault sets of a disk: the armed one, and the one that requests meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use crate::fault::{Arming, Edit, FaultSet, NoSuchTag};
use crate::protocol::Switch;

/// Both fault sets belong to the holder of `switch`; every thread reads them through a snapshot.
pub(super) struct RuleSets {
    /// The rules that are armed.
    pub(super) armed: ArcSwap<FaultSet>,
    /// The rules that requests meet: `armed`, or none while the rules are off.
    pub(super) acting: ArcSwap<FaultSet>,
    /// Changes with `acting`, after it. 0 while nothing is armed and never was.
    generation: AtomicU64,
    /// Held while a new fault set is computed and swapped in, so that no edit is lost.
    switch: Mutex<Switch>,
    /// The default seed for rules without `seed=`.
    pub(super) seed: AtomicU64,
    /// How many rules were armed so far.
    count: AtomicU64,
}

/// The rules of a disk at a moment.
pub(super) struct SavedRules {
    faults: FaultSet,
    at: Duration,
    switch: Switch,
    seed: u64,
}

/// A fault set that is about to be armed. No other is meanwhile.
pub(super) struct NewSet<'a> {
    pub(super) faults: Arc<FaultSet>,
    sets: &'a RuleSets,
    switch: MutexGuard<'a, Switch>,
}

impl Default for RuleSets {
    fn default() -> Self {
        Self {
            armed: ArcSwap::default(),
            acting: ArcSwap::default(),
            generation: AtomicU64::new(0),
            switch: Mutex::default(),
            seed: AtomicU64::new(u64::from(fastrand::u32(..))),
            count: AtomicU64::new(0),
        }
    }
}

impl RuleSets {
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn switch(&self) -> Switch {
        *self.switch.lock()
    }

    pub(super) fn set_switch(&self, to: Switch) {
        let mut switch = self.switch.lock();
        *switch = to;
        self.have_act(to);
    }

    /// What is armed, with copies of the counters.
    pub(super) fn saved(&self, now: Duration) -> SavedRules {
        let switch = self.switch.lock();
        SavedRules {
            faults: self.armed.load().later(Duration::ZERO),
            at: now,
            switch: *switch,
            seed: self.seed.load(Ordering::SeqCst),
        }
    }

    /// The set that was armed when `saved` was, as old as it was then.
    pub(super) fn returned(&self, saved: &SavedRules, now: Duration) -> NewSet<'_> {
        let mut switch = self.switch.lock();
        *switch = saved.switch;
        self.seed.store(saved.seed, Ordering::SeqCst);
        NewSet {
            faults: Arc::new(saved.faults.later(now.saturating_sub(saved.at))),
            sets: self,
            switch,
        }
    }

    /// The armed set with these edits, or with `replace` an empty one with these.
    pub(super) fn edited(
        &self,
        edits: &[Edit],
        replace: bool,
        now: Duration,
        disk_sectors: u64,
    ) -> Result<NewSet<'_>, NoSuchTag> {
        let switch = self.switch.lock();
        let old = self.armed.load_full();
        let empty = FaultSet::default();
        let base = if replace { &empty } else { &*old };
        let arming = Arming {
            now,
            seed: self.seed.load(Ordering::SeqCst),
            disk_sectors,
            first_id: self.count.load(Ordering::SeqCst),
        };
        self.count.fetch_add(edits.len() as u64, Ordering::SeqCst);
        let faults = Arc::new(base.edited(edits, arming)?);
        let sets = self;
        Ok(NewSet {
            faults,
            sets,
            switch,
        })
    }

    fn have_act(&self, switch: Switch) {
        self.acting.store(match switch {
            Switch::On => self.armed.load_full(),
            Switch::Off => Arc::default(),
        });
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl NewSet<'_> {
    pub(super) fn arm(self) {
        self.sets.armed.store(self.faults);
        self.sets.have_act(*self.switch);
    }
}
