//! Switching the power of a disk, and what it tells of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::error::PowerError;
use super::gate::{NotClosed, Parked};
use super::state::LEAVING;
use crate::disk::device::Disk;
use crate::protocol::{DiskEvent, Note, PowerState};

/// How long the state of the power waits for a cut that is under way. One whose storage is stuck takes longer.
const CUTTING: Duration = Duration::from_secs(1);

impl Disk {
    /// The state of its power. Not for a loop thread: it waits for a cut that is under way, whose last request is
    /// answered a moment before the power is off.
    pub fn power(&self) -> PowerState {
        self.power.gate.outwait_cut(Instant::now() + CUTTING);
        let off = self.power.off.lock();
        off.report.map_or(PowerState::On, PowerState::Off)
    }

    /// Requests that failed because the power was off.
    pub fn power_off_errors(&self) -> u64 {
        self.power.errors.load(Ordering::SeqCst)
    }

    /// Lets requests go on that have waited in front of the gate.
    pub(in crate::disk) fn go_on_with(&self, parked: Vec<Parked>) {
        for Parked { request, go_on, .. } in parked {
            self.delays.pool().run(self.owner, move || go_on(request));
        }
    }

    /// Returns the power. False when it is on. Waits for a cut that is under way.
    pub(in crate::disk) fn return_power(&self) -> bool {
        self.power.gate.outwait_closed(Instant::now() + LEAVING);
        let mut off = self.power.off.lock();
        if off.report.take().is_none() {
            return false;
        }
        let parked = self.power.gate.open();
        drop(off);
        self.go_on_with(parked);
        self.tell(DiskEvent::On);
        true
    }

    /// Does `work` while no request is inside the gate, then lets those go on that have come meanwhile.
    pub(in crate::disk) fn quietly<T>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T,
    ) -> Result<T, PowerError> {
        let gate = &self.power.gate;
        let deadline = Instant::now() + LEAVING;
        while let Err(why) = gate.close_for_quiet() {
            match why {
                NotClosed::Off => return Err(PowerError::NoPower(self.id().to_owned())),
                // Other such work ends first.
                NotClosed::Busy if gate.outwait_quiet(deadline) => {}
                NotClosed::Busy => return Err(PowerError::Stuck(self.id().to_owned())),
            }
        }
        let is_quiet = gate.drain(deadline);
        let done = is_quiet.then(work);
        self.go_on_with(gate.end_quiet());
        done.ok_or_else(|| PowerError::Stuck(self.id().to_owned()))
    }

    /// Tells the readers of `trace` and of `ctl/events`.
    pub(in crate::disk) fn tell(&self, what: DiskEvent) {
        self.mains.tell(self.id(), what.clone());
        self.trace.note(Note::Disk(what));
    }
}
