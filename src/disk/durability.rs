//! What a disk tells of durability, and switching its cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cache::Amount;
use super::device::Disk;
use super::power::PowerError;
use crate::protocol::{CacheMode, Errno, PendingLine};

/// How long a change of the cache waits for the storage.
const TURN: Duration = Duration::from_secs(10);

/// Why the cache of a disk was not switched.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The storage fails.
    #[error("the pending data cannot be made durable: {0}")]
    Storage(Errno),
    /// Others have its image.
    #[error(
        "this disk shares its image (`share`): what is pending in a cache would not be seen by others"
    )]
    Shared,
    /// The power is off, or a request does not end.
    #[error(transparent)]
    Power(#[from] PowerError),
}

impl CacheError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Storage(errno) => *errno,
            Self::Shared => Errno(libc::EBUSY),
            Self::Power(error) => error.errno(),
        }
    }
}

impl Disk {
    /// Whether it has a volatile write cache.
    pub fn cache_mode(&self) -> CacheMode {
        self.image.mode()
    }

    /// Sets it. What is pending becomes durable first. Requests wait meanwhile.
    pub fn set_cache_mode(self: &Arc<Self>, mode: CacheMode) -> Result<(), CacheError> {
        if mode == self.cache_mode() {
            return Ok(());
        }
        if self.shares {
            return Err(CacheError::Shared);
        }
        self.quietly(|| {
            self.settle_pending().map_err(CacheError::Storage)?;
            self.image.set_mode(mode);
            Ok(())
        })?
    }

    /// Makes all that is pending durable. No request is inside the gate.
    pub(super) fn settle_pending(&self) -> Result<(), Errno> {
        if !self.image.has_pending() {
            return Ok(());
        }
        let turn = self.ranges.lock_all_within(TURN);
        let turn = turn.ok_or(Errno(libc::EBUSY))?;
        self.make_all_durable(&turn)
    }

    /// The requests that were answered and are not durable, oldest first.
    pub fn pending(&self) -> Vec<PendingLine> {
        self.image.pending()
    }

    /// How many these are.
    pub fn pending_amount(&self) -> Amount {
        self.image.pending_amount()
    }

    /// Pending requests that became durable early, for want of memory.
    pub fn evicted_amount(&self) -> Amount {
        self.image.evicted_amount()
    }

    /// Flushes that were answered without an error.
    pub fn flushes_answered(&self) -> u64 {
        self.durability.flushes.load(Ordering::SeqCst)
    }

    /// Writes that had to be durable when they were answered.
    pub fn fua_requests(&self) -> u64 {
        self.durability.fua.load(Ordering::SeqCst)
    }
}
