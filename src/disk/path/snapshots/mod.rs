//! Snapshots for `stale` rules: their sectors as they were when the rules were armed.
//!
//! Nothing is copied when a rule is armed. A request that is about to change some of its sectors keeps their
//! old content first, unless that is kept already. Sectors that are not kept have not changed.

mod kept;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::disk::path::reservation::{HeldMemory, Reservation};
use crate::fault::{Action, Armed, FaultSet, Op, Ranges};
use crate::protocol::Errno;
use crate::protocol::names::SECTOR;
use crate::storage::{Extent as Kind, Image};
use kept::{Extent, Kept};

/// Most bytes that are read at once to be kept. In longer ranges holes are looked for.
const PIECE: u64 = 64 * 1024;
/// A piece without data.
static ZEROS: [u8; PIECE as usize] = [0; PIECE as usize];
/// With more misdirections at once, not every sum of them is considered.
const MOST_SHIFTS: usize = 4;

/// A snapshot for each `stale` rule that is armed.
pub(in crate::disk) struct Snapshots {
    image: Arc<dyn Image>,
    memory: HeldMemory,
    /// Whether there is any: all that a write without faults has to look at.
    any: AtomicBool,
    all: ArcSwap<Vec<Arc<Snapshot>>>,
}

/// What was kept for rules at a moment, by their numbers.
pub(in crate::disk) type SavedSnapshots = HashMap<u64, SavedSnapshot>;

/// What was kept for a rule.
pub(in crate::disk) struct SavedSnapshot {
    kept: Mutex<Kept>,
    is_full: bool,
}

struct Snapshot {
    rule: Arc<Armed>,
    /// What it may have to serve.
    ranges: Ranges,
    shared: Arc<Shared>,
}

struct Shared {
    kept: Mutex<Kept>,
    /// The rule was removed: nothing need be kept for it.
    is_over: AtomicBool,
    /// There was no room for something.
    is_full: AtomicBool,
}

impl Snapshots {
    /// Snapshots of `image`, which take `memory` for what they keep.
    pub(in crate::disk) fn new(image: Arc<dyn Image>, memory: HeldMemory) -> Self {
        Self {
            image,
            memory,
            any: AtomicBool::new(false),
            all: ArcSwap::default(),
        }
    }

    /// Begins one for each new `stale` rule of `faults`, and ends those of rules that were removed.
    /// One caller at a time.
    pub(in crate::disk) fn keep_for(&self, faults: &FaultSet) {
        let old = self.all.load();
        let known: HashMap<u64, &Snapshot> = old.iter().map(|one| (one.rule.id, &**one)).collect();
        self.begin(faults, |id| {
            known.get(&id).map(|known| Arc::clone(&known.shared))
        });
        let gone = old.iter().filter(|snapshot| !faults.has(snapshot.rule.id));
        gone.for_each(|snapshot| snapshot.shared.is_over.store(true, Ordering::SeqCst));
    }

    /// What is kept now.
    pub(in crate::disk) fn saved(&self) -> SavedSnapshots {
        let all = self.all.load();
        let saved = all.iter().map(|snapshot| {
            let saved = SavedSnapshot {
                kept: Mutex::new(self.copy(&snapshot.shared.kept)),
                is_full: snapshot.shared.is_full.load(Ordering::SeqCst),
            };
            (snapshot.rule.id, saved)
        });
        saved.collect()
    }

    /// Has kept for the rules of `faults` what was when `saved` was. No request is under way.
    pub(in crate::disk) fn return_to(&self, faults: &FaultSet, saved: &SavedSnapshots) {
        let old = self.all.load();
        self.begin(faults, |id| {
            let SavedSnapshot { kept, is_full } = saved.get(&id)?;
            Some(Arc::new(Shared {
                kept: Mutex::new(self.copy(kept)),
                is_over: AtomicBool::new(false),
                is_full: AtomicBool::new(*is_full),
            }))
        });
        let gone = old.iter();
        gone.for_each(|snapshot| snapshot.shared.is_over.store(true, Ordering::SeqCst));
    }

    fn copy(&self, kept: &Mutex<Kept>) -> Kept {
        let rooms = [self.memory.reservation(), self.memory.reservation()];
        kept.lock().copy(rooms)
    }

    fn begin(&self, faults: &FaultSet, known: impl Fn(u64) -> Option<Arc<Shared>>) {
        let armed = faults.armed().iter();
        let stale = armed.filter(|armed| armed.rule.action == Action::Stale);
        let snapshot = |rule: &Arc<Armed>| {
            Arc::new(Snapshot {
                rule: Arc::clone(rule),
                ranges: ranges(rule, faults),
                shared: known(rule.id).unwrap_or_else(|| Arc::new(Shared::new(&self.memory))),
            })
        };
        let new: Vec<_> = stale.map(snapshot).collect();
        self.any.store(!new.is_empty(), Ordering::SeqCst);
        self.all.store(Arc::new(new));
    }

    /// Whether a rule shows what some of its sectors held before.
    pub(in crate::disk) fn is_any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Keeps the contents of the range, before it is changed. ENOMEM without room for them; the range must
    /// not be changed then.
    #[inline]
    pub(in crate::disk) fn preserve(&self, offset: u64, len: u64) -> Result<(), Errno> {
        if len == 0 || !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.keep(offset, len)
    }

    #[cold]
    fn keep(&self, offset: u64, len: u64) -> Result<(), Errno> {
        for snapshot in self.all.load().iter() {
            if let Err(errno) = snapshot.preserve(&*self.image, &self.memory, offset, len) {
                snapshot.shared.is_full.store(true, Ordering::SeqCst);
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Whether there was no room for something that the rule should have kept.
    pub(in crate::disk) fn is_full(&self, rule: &Armed) -> bool {
        let snapshot = self.find(rule);
        snapshot.is_some_and(|snapshot| snapshot.shared.is_full.load(Ordering::SeqCst))
    }

    /// Puts what `rule`'s snapshot has from `offset` on into `data`.
    pub(in crate::disk) fn overlay(&self, rule: &Armed, data: &mut [u8], offset: u64) {
        if let Some(snapshot) = self.find(rule) {
            snapshot.shared.kept.lock().overlay(data, offset);
        }
    }

    fn find(&self, rule: &Armed) -> Option<Arc<Snapshot>> {
        let all = self.all.load();
        let snapshot = all.iter().find(|snapshot| snapshot.rule.id == rule.id);
        snapshot.cloned()
    }
}

/// Where reads may land that `rule` is for, among `faults`.
fn ranges(rule: &Armed, faults: &FaultSet) -> Ranges {
    let reads = faults.rules().filter(|other| other.ops.contains(Op::Read));
    let shifts = reads.map(|other| other.action.shift());
    let ranges = rule.ranges.clone();
    shifts
        .filter(|by| *by != 0)
        .take(MOST_SHIFTS)
        .fold(ranges, |ranges, by| ranges.with_moved(by))
}

impl Shared {
    fn new(memory: &HeldMemory) -> Self {
        Self {
            kept: Mutex::new(Kept::new(memory.reservation())),
            is_over: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        }
    }
}

impl Snapshot {
    fn preserve(
        &self,
        image: &dyn Image,
        memory: &HeldMemory,
        offset: u64,
        len: u64,
    ) -> Result<(), Errno> {
        let start = offset / SECTOR * SECTOR;
        let end = offset.saturating_add(len).next_multiple_of(SECTOR);
        for (start, end) in self.ranges.within(start, end) {
            // Not read under the lock. A request that changes a range has kept it before. So if this read
            // finds it changed, it is kept by now, and stays as it is there.
            let gaps = self.shared.kept.lock().gaps(start, end);
            let (mut reserved, mut found) = (memory.reservation(), Vec::new());
            for (from, to) in gaps {
                self.collect(image, from, to, &mut reserved, &mut found)?;
            }
            let mut kept = self.shared.kept.lock();
            kept.absorb(reserved);
            for (start, extent) in found {
                kept.add(start, extent)?;
            }
        }
        Ok(())
    }

    /// Reads the image from `at` up to `end`, holes as such, until the rule is removed.
    fn collect(
        &self,
        image: &dyn Image,
        mut at: u64,
        end: u64,
        reserved: &mut Reservation,
        found: &mut Vec<(u64, Extent)>,
    ) -> Result<(), Errno> {
        while at < end && !self.shared.is_over.load(Ordering::SeqCst) {
            let (is_hole, to) = match end - at > PIECE {
                true => extent_at(image, at, end),
                false => (false, end),
            };
            let extent = match is_hole {
                true => Extent {
                    len: to - at,
                    data: None,
                },
                false => read_extent(image, at, to.min(at + PIECE), reserved)?,
            };
            let len = extent.len;
            found.push((at, extent));
            at += len;
        }
        Ok(())
    }
}

/// Whether there is a hole at `at`, and where that ends.
fn extent_at(image: &dyn Image, at: u64, end: u64) -> (bool, u64) {
    let next = |kind| match image.seek(kind, at) {
        Ok(found) => Some(found.clamp(at, end)),
        // Past the end, or past the last data.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Some(end),
        Err(_) => None,
    };
    match next(Kind::Data) {
        Some(data) if data > at => (true, data),
        Some(_) => (
            false,
            next(Kind::Hole).filter(|hole| *hole > at).unwrap_or(end),
        ),
        None => (false, end),
    }
}

fn read_extent(
    image: &dyn Image,
    at: u64,
    end: u64,
    reserved: &mut Reservation,
) -> Result<Extent, Errno> {
    let len = end - at;
    let mut data = Vec::new();
    data.try_reserve_exact(len as usize)
        .map_err(|_| Errno::ENOMEM)?;
    // What lies past the end of the image is zeros.
    data.resize(len as usize, 0);
    image
        .read_at(&mut data, at)
        .map_err(|error| Errno::of(&error))?;
    let is_zero = data == ZEROS[..data.len()];
    if !is_zero {
        reserved.grow(len)?;
    }
    Ok(Extent {
        len,
        data: (!is_zero).then(|| Arc::new(data)),
    })
}
