//! Cutting the power of several disks at one instant.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::unbounded;

use super::error::PowerError;
use super::mains::Mains;
use super::state::LEAVING;
use crate::disk::device::Disk;
use crate::disk::observe::Trace;
use crate::disk::table::Disks;
use crate::os::thread;
use crate::protocol::{Keep, PowerCut};

/// Disks whose gates a cut has closed. They open again if it is dropped.
pub(in crate::disk) struct CutUnderWay(Vec<Arc<Disk>>);

impl Mains<Disk> {
    /// Closes the gates of all disks, or of `only`. Disks that are without power stay as they are.
    pub(in crate::disk) fn begin_cut(&self, only: Option<&Arc<Disk>>) -> CutUnderWay {
        let mut disks = match only {
            Some(disk) => vec![Arc::clone(disk)],
            None => self.all(),
        };
        disks.retain(|disk| disk.power.gate.close_for_cut());
        CutUnderWay(disks)
    }
}

impl CutUnderWay {
    pub(in crate::disk) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it cuts the power of `disk`.
    pub(in crate::disk) fn has(&self, disk: &Arc<Disk>) -> bool {
        self.0.iter().any(|one| Arc::ptr_eq(one, disk))
    }

    /// Cuts the power: waits for requests that are in their I/O, does `last`, decides what survives, and tells of
    /// it. `rule` is the text of the rule that did it. A rule may keep numbers that are not pending.
    pub(in crate::disk) fn finish(
        mut self,
        cut: &PowerCut,
        rule: Option<&str>,
        last: impl FnOnce(),
    ) -> Result<(), PowerError> {
        let deadline = Instant::now() + LEAVING;
        // One that is stuck stays without its answer; the power goes off all the same.
        for disk in &self.0 {
            let gate = &disk.power.gate;
            let _ = gate.outwait_quiet(deadline) && gate.drain(deadline);
        }
        if rule.is_none()
            && let Some(number) = self.not_pending(cut)
        {
            return Err(PowerError::NotPending(number));
        }
        last();
        let disks = std::mem::take(&mut self.0);
        let seed = cut.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
        let cut = Arc::new((cut.clone(), rule.map(str::to_owned)));
        let (tx, settled) = unbounded();
        let settle = |disk: Arc<Disk>| {
            let (cut, tx) = (Arc::clone(&cut), tx.clone());
            move || {
                let settled = disk.settle_cut(&cut.0, seed, cut.1.as_deref());
                // Whoever gets the answer may detach the disk at once.
                drop(disk);
                let _ = tx.send(settled);
            }
        };
        let mut works = disks.into_iter().map(settle);
        let first = works.next();
        // No disk waits for the storage of another one.
        let here = works.filter(|work| thread::start(c"power-cut", work.clone()).is_err());
        let here: Vec<_> = here.collect();
        first.into_iter().chain(here).for_each(|work| work());
        drop(tx);
        settled.iter().fold(Ok(()), Result::and)
    }

    fn not_pending(&self, cut: &PowerCut) -> Option<u64> {
        let Keep::Only(numbers) = &cut.keep else {
            return None;
        };
        let known = |number: &u64| self.0.iter().any(|disk| disk.image.is_pending(*number));
        numbers.iter().find(|number| !known(number)).copied()
    }
}

impl Drop for CutUnderWay {
    fn drop(&mut self) {
        for disk in &self.0 {
            disk.go_on_with(disk.power.gate.give_up_cut());
        }
    }
}

impl Disks {
    /// The stream of what happens to disks as a whole.
    pub fn events(&self) -> &Trace {
        self.mains.events()
    }

    /// Has `changed` called with the index of a disk whose data a power cut has changed.
    pub fn on_power_cut(&self, changed: impl Fn(usize) + Send + Sync + 'static) {
        self.mains.on_change(changed);
    }

    /// Cuts the power of `disk`, or of all disks at one instant: no request of any of them falls between. Waits
    /// for requests that are in their I/O: not for a loop thread.
    pub fn cut_power(&self, disk: Option<&Arc<Disk>>, cut: &PowerCut) -> Result<(), PowerError> {
        let under_way = self.mains.begin_cut(disk);
        match under_way.is_empty() {
            true => Err(self.nothing(disk, PowerError::IsOff)),
            false => under_way.finish(cut, None, || ()),
        }
    }

    /// Returns the power to `disk`, or to all disks.
    pub fn power_on(&self, disk: Option<&Arc<Disk>>) -> Result<(), PowerError> {
        let disks = match disk {
            Some(disk) => vec![Arc::clone(disk)],
            None => self.all().into_iter().map(|(_, disk)| disk).collect(),
        };
        let returned = disks.iter().filter(|disk| disk.return_power()).count();
        match returned {
            0 => Err(self.nothing(disk, PowerError::IsOn)),
            _ => Ok(()),
        }
    }

    fn nothing(&self, disk: Option<&Arc<Disk>>, error: fn(String) -> PowerError) -> PowerError {
        match disk {
            Some(disk) => error(format!("`{}`", disk.id())),
            None if self.all().is_empty() => PowerError::NoDisk,
            None => error("all disks".into()),
        }
    }
}
