//! What a disk keeps of its power.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;

use super::gate::Gate;
use crate::protocol::CutReport;

/// How long requests may take to leave the gate: those that are in their I/O.
pub(in crate::disk) const LEAVING: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// The power of a disk.
#[derive(Default)]
pub(in crate::disk) struct Power {
    pub(in crate::disk) gate: Gate,
    /// Held while a request meets rules of which one cuts the power: so none passes one that has fired.
    pub(in crate::disk) order: Mutex<()>,
    pub(in crate::disk) off: Mutex<Off>,
    pub(in crate::disk) errors: AtomicU64,
}

#[derive(Default)]
pub(in crate::disk) struct Off {
    /// How many cuts there were.
    pub(super) cuts: u64,
    /// The latest, while the power is off.
    pub(in crate::disk) report: Option<CutReport>,
}
