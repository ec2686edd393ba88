//! Memory for data that wait: those of requests that are held, and those that `stale` rules keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::Errno;

/// Most bytes that wait in memory, of all disks of a server: the data of writes, and those that `stale`
/// rules keep. 1 GiB. A request that needs more fails with ENOMEM.
pub const MOST_HELD: u64 = 1 << 30;

/// How many bytes wait in memory, of all disks of a server.
#[derive(Clone, Debug, Default)]
pub(in crate::disk) struct HeldMemory(Arc<AtomicU64>);

/// Room for bytes that wait in memory; given back when this is dropped.
pub(in crate::disk) struct Reservation {
    memory: HeldMemory,
    bytes: u64,
}

impl HeldMemory {
    pub(in crate::disk) fn bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
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
    /// Reserves `by` bytes more. ENOMEM when too many wait already.
    pub(in crate::disk) fn grow(&mut self, by: u64) -> Result<(), Errno> {
        let more = |held: u64| held.checked_add(by).filter(|held| *held <= MOST_HELD);
        let held = &self.memory.0;
        let grown = held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        grown.map_err(|_| Errno::ENOMEM)?;
        self.bytes += by;
        Ok(())
    }

    /// Takes over what `other` has reserved.
    pub(in crate::disk) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
