//! Stand-in until the cache, the power switch and the log of a disk are there.

use std::sync::Arc;

use super::device::Disk;
use super::observe::Trace;
use super::table::Disks;
use crate::protocol::{CacheMode, Errno, PendingLine, PowerCut, PowerState};

/// Why the power of a disk was not switched.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The power is off.
    #[error("the power of {0} is off already")]
    IsOff(String),
    /// The power is on.
    #[error("the power of {0} is on already")]
    IsOn(String),
    /// There is nothing to cut.
    #[error("no disk is attached")]
    NoDisk,
    /// A number of `keep=only=` that is not pending.
    #[error("no request with the number {0} is pending")]
    NotPending(u64),
}

impl PowerError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        Errno(match self {
            Self::IsOff(_) | Self::IsOn(_) => libc::EALREADY,
            Self::NoDisk => libc::ENODEV,
            Self::NotPending(_) => libc::EINVAL,
        })
    }
}

/// Why the cache of a disk was not switched.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The storage fails.
    #[error("the pending data cannot be made durable: {0}")]
    Storage(Errno),
}

impl CacheError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Storage(errno) => *errno,
        }
    }
}

/// Requests and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// How many.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Requests that have to do with durability.
#[derive(Clone, Copy, Debug, Default)]
pub struct DurabilityCounts {
    /// Flushes that were answered without an error.
    pub flushes: u64,
    /// Writes that had to be durable when they were answered.
    pub fua: u64,
}

impl Disk {
    /// Whether it has a volatile write cache.
    pub fn cache_mode(&self) -> CacheMode {
        CacheMode::Off
    }

    /// Sets it.
    pub fn set_cache_mode(self: &Arc<Self>, _mode: CacheMode) -> Result<(), CacheError> {
        Err(CacheError::Storage(Errno(libc::EOPNOTSUPP)))
    }

    /// The requests that were answered and are not durable, oldest first.
    pub fn pending(&self) -> Vec<PendingLine> {
        Vec::new()
    }

    /// How many these are.
    pub fn pending_count(&self) -> Amount {
        Amount::default()
    }

    /// Pending requests that became durable early.
    pub fn evicted_count(&self) -> Amount {
        Amount::default()
    }

    /// Counters.
    pub fn durability_counts(&self) -> DurabilityCounts {
        DurabilityCounts::default()
    }

    /// Requests that failed because the power was off.
    pub fn power_off_errors(&self) -> u64 {
        0
    }

    /// The state of its power.
    pub fn power(&self) -> PowerState {
        PowerState::On
    }

    /// The most that may wait in memory.
    pub fn held_bytes_limit(&self) -> u64 {
        super::MOST_HELD
    }
}

impl Disks {
    /// The stream of events.
    pub fn events(&self) -> &Trace {
        &self.events
    }

    /// Cuts the power of one disk, or of all.
    pub fn cut_power(&self, _disk: Option<&Arc<Disk>>, _cut: &PowerCut) -> Result<(), PowerError> {
        Err(PowerError::NoDisk)
    }

    /// Returns the power.
    pub fn power_on(&self, disk: Option<&Arc<Disk>>) -> Result<(), PowerError> {
        let disk = disk.ok_or(PowerError::NoDisk)?;
        self.events.tell(crate::protocol::EventLine {
            time: crate::os::sys::monotonic(),
            id: disk.id().to_owned(),
            what: crate::protocol::DiskEvent::On,
        });
        Err(PowerError::NoDisk)
    }
}
