//! The power of a disk: the gate that all requests pass, cuts, and what survives them.

pub(super) mod cut;
pub(super) mod gate;
pub(super) mod mains;
mod survivors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::device::Disk;
use crate::protocol::{CutReport, DiskEvent, Errno, Note, PowerState};
use gate::{Gate, NotClosed, Parked};

/// How long requests may take to leave the gate: those that are in their I/O.
const LEAVING: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// The power of a disk.
#[derive(Default)]
pub(super) struct Power {
    pub(super) gate: Gate,
    /// Held while a request meets rules of which one cuts the power: so none passes one that has fired.
    pub(super) order: Mutex<()>,
    off: Mutex<Off>,
    pub(super) errors: AtomicU64,
}

#[derive(Default)]
struct Off {
    /// How many cuts there were.
    cuts: u64,
    /// The latest, while the power is off.
    report: Option<CutReport>,
}

/// Why the power of a disk was not switched.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The power is off.
    #[error("the power of {0} is off already")]
    IsOff(String),
    /// The power is on.
    #[error("the power of {0} is on already")]
    IsOn(String),
    /// It is needed, and off.
    #[error("the power of `{0}` is off: write `on` to `power` first")]
    NoPower(String),
    /// There is nothing to cut.
    #[error("no disk is attached")]
    NoDisk,
    /// A number of `keep=only=` that is not pending.
    #[error("no request with the number {0} is pending: `pending` lists the numbers")]
    NotPending(u64),
    /// Requests do not end.
    #[error("a request of `{0}` does not end: its storage does not answer")]
    Stuck(String),
    /// What survives cannot be written.
    #[error("the power of `{0}` is off, but what survives cannot be written: {1}")]
    Storage(String, Errno),
}

impl PowerError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        match self {
            Self::IsOff(_) | Self::IsOn(_) => Errno(libc::EALREADY),
            Self::NoDisk => Errno(libc::ENODEV),
            Self::NotPending(_) => Errno(libc::EINVAL),
            Self::Stuck(_) => Errno(libc::EBUSY),
            Self::NoPower(_) => Errno::EIO,
            Self::Storage(_, errno) => *errno,
        }
    }
}

impl Disk {
    /// The state of its power.
    pub fn power(&self) -> PowerState {
        let off = self.power.off.lock();
        off.report.map_or(PowerState::On, PowerState::Off)
    }

    /// Requests that failed because the power was off.
    pub fn power_off_errors(&self) -> u64 {
        self.power.errors.load(Ordering::SeqCst)
    }

    /// Lets requests go on that have waited in front of the gate.
    pub(super) fn go_on_with(&self, parked: Vec<Parked>) {
        for Parked { request, go_on, .. } in parked {
            self.delays.pool().run(self.owner, move || go_on(request));
        }
    }

    /// Returns the power. False when it is on. Waits for a cut that is under way.
    pub(super) fn return_power(&self) -> bool {
        let deadline = Instant::now() + LEAVING;
        while self.power.gate.is_closed() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
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
    pub(super) fn quietly<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> Result<T, PowerError> {
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
    pub(super) fn tell(&self, what: DiskEvent) {
        self.mains.tell(self.id(), what.clone());
        self.trace.note(Note::Disk(what));
    }
}
