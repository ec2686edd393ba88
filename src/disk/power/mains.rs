//! What the disks of a server share of their power: all of them can be cut at one instant.

use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::disk::observe::Trace;
use crate::os::sys;
use crate::protocol::{DiskEvent, EventLine};

/// Takes the index of a disk.
type Changed = Box<dyn Fn(usize) + Send + Sync>;

/// The disks of a server, of the type `D`, and what happens to them as a whole.
pub(in crate::disk) struct Mains<D> {
    /// With the index of each.
    disks: Mutex<Vec<(usize, Weak<D>)>>,
    events: Trace,
    /// Called when a cut has changed the data of a disk.
    changed: OnceLock<Changed>,
}

impl<D> Default for Mains<D> {
    fn default() -> Self {
        Self {
            disks: Mutex::default(),
            events: Trace::default(),
            changed: OnceLock::new(),
        }
    }
}

impl<D> Mains<D> {
    pub(in crate::disk) fn events(&self) -> &Trace {
        &self.events
    }

    pub(in crate::disk) fn add(&self, index: usize, disk: &Arc<D>) {
        let mut disks = self.disks.lock();
        disks.retain(|(_, disk)| disk.strong_count() > 0);
        disks.push((index, Arc::downgrade(disk)));
    }

    pub(super) fn all(&self) -> Vec<Arc<D>> {
        let disks = self.disks.lock();
        let all = disks.iter().filter_map(|(_, disk)| disk.upgrade());
        all.collect()
    }

    pub(in crate::disk) fn tell(&self, id: &str, what: DiskEvent) {
        match &what {
            DiskEvent::Cut(..) => info!("{id}: power {what}"),
            DiskEvent::On => info!("{id}: power {what}"),
            DiskEvent::Checkpoint(_) => info!("{id}: {what}"),
            DiskEvent::Evicted { .. } => warn!("{id}: {what}: memory is full"),
            DiskEvent::LogStopped(_) => warn!("{id}: write {what}"),
        }
        self.events.tell(EventLine {
            time: sys::monotonic(),
            id: id.to_owned(),
            what,
        });
    }

    /// Has `changed` called with the index of a disk whose data a cut has changed.
    pub(super) fn on_change(&self, changed: impl Fn(usize) + Send + Sync + 'static) {
        let _ = self.changed.set(Box::new(changed));
    }

    pub(in crate::disk) fn has_changed(&self, disk: &D) {
        let of_disk = |known: &&(usize, Weak<D>)| std::ptr::eq(known.1.as_ptr(), disk);
        let index = self
            .disks
            .lock()
            .iter()
            .find(of_disk)
            .map(|(index, _)| *index);
        if let (Some(changed), Some(index)) = (self.changed.get(), index) {
            changed(index);
        }
    }
}
