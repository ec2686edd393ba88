//! Whether the storage of a disk is slow: then loop threads, which other disks need, leave its
//! requests to the pool.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::fault::Op;

/// A request whose I/O takes longer is stuck: a loop thread that does it serves no other request meanwhile.
pub(in crate::disk) const STUCK: Duration = Duration::from_millis(10);
/// The I/O of a request of quick storage takes less.
const QUICK: Duration = Duration::from_millis(2);
/// After this many quick ones in a row the storage is quick again.
const ENOUGH: u32 = 32;

/// Whether requests of a kind are slow.
#[derive(Debug, Default)]
pub(in crate::disk) struct Strain {
    is_slow: AtomicBool,
    /// Quick requests in a row.
    quick: AtomicU32,
}

/// That of each kind of request: many a storage is slow to flush and quick to read and write.
#[derive(Debug, Default)]
pub(in crate::disk) struct Strains {
    data: Strain,
    others: Strain,
}

impl Strains {
    #[inline]
    pub(in crate::disk) fn of(&self, op: Op) -> &Strain {
        match op {
            Op::Read | Op::Write => &self.data,
            Op::Flush | Op::Discard | Op::Zero => &self.others,
        }
    }
}

impl Strain {
    #[inline]
    pub(in crate::disk) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    /// A request of it was found stuck. Returns whether that is news.
    pub(in crate::disk) fn begin(&self) -> bool {
        self.quick.store(0, Ordering::Relaxed);
        !self.is_slow.swap(true, Ordering::Relaxed)
    }

    /// Learns from the time that the I/O of a request took on the pool.
    pub(in crate::disk) fn learn(&self, time: Duration) {
        if time > QUICK {
            self.quick.store(0, Ordering::Relaxed);
        } else if self.quick.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
            self.is_slow.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_slow_from_a_stuck_request_to_enough_quick_ones_in_a_row() {
        let strain = Strain::default();
        assert!(!strain.is_slow());
        strain.begin();
        for _ in 1..ENOUGH {
            strain.learn(Duration::ZERO);
        }
        strain.learn(STUCK);
        for _ in 1..ENOUGH {
            strain.learn(QUICK);
            assert!(strain.is_slow());
        }
        strain.learn(QUICK);
        assert!(!strain.is_slow());
    }
}
