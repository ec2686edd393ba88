//! Memory for data that wait: those of requests that are held, and those that `stale` rules keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::Errno;

/// Most bytes that wait in memory unless the mount says otherwise, of all disks of a server: the data of held and
/// pending writes, and those that `stale` rules keep. 1 GiB. A held request that needs more fails with ENOMEM.
pub const MOST_HELD: u64 = 1 << 30;

/// How many bytes wait in memory, of all disks of a server.
#[derive(Clone, Debug)]
pub(in crate::disk) struct HeldMemory(Arc<Held>);

#[derive(Debug)]
struct Held {
    bytes: AtomicU64,
    limit: u64,
}

/// Room for bytes that wait in memory; given back when this is dropped.
#[derive(Debug)]
pub(in crate::disk) struct Reservation {
    memory: HeldMemory,
    bytes: u64,
}

impl HeldMemory {
    /// Memory of which `limit` bytes may be taken.
    pub(in crate::disk) fn new(limit: u64) -> Self {
        let bytes = AtomicU64::new(0);
        Self(Arc::new(Held { bytes, limit }))
    }

    pub(in crate::disk) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::SeqCst)
    }

    /// The most that may wait.
    pub(in crate::disk) fn limit(&self) -> u64 {
        self.0.limit
    }

    /// How much more may wait.
    pub(in crate::disk) fn free(&self) -> u64 {
        self.limit().saturating_sub(self.bytes())
    }

    /// A reservation of nothing, which can grow.
    pub(in crate::disk) fn reservation(&self) -> Reservation {
        Reservation {
            memory: self.clone(),
            bytes: 0,
        }
    }
}

impl Reservation {
    /// How many bytes it has.
    pub(in crate::disk) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `by` bytes more. ENOMEM when too many wait already.
    pub(in crate::disk) fn grow(&mut self, by: u64) -> Result<(), Errno> {
        let limit = self.memory.limit();
        let more = |held: u64| held.checked_add(by).filter(|held| *held <= limit);
        let held = &self.memory.0.bytes;
        let grown = held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        grown.map_err(|_| Errno::ENOMEM)?;
        self.bytes += by;
        Ok(())
    }

    /// Reserves `by` bytes more, past the limit: others are about to give back as much.
    pub(in crate::disk) fn grow_past_the_limit(&mut self, by: u64) {
        self.memory.0.bytes.fetch_add(by, Ordering::SeqCst);
        self.bytes += by;
    }

    /// Gives back `by` bytes, at most all.
    pub(in crate::disk) fn shrink(&mut self, by: u64) {
        let by = by.min(self.bytes);
        self.memory.0.bytes.fetch_sub(by, Ordering::SeqCst);
        self.bytes -= by;
    }

    /// Takes over what `other` has reserved.
    pub(in crate::disk) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(u64::MAX);
    }
}
