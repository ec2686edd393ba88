//! Counters of requests that have to do with durability.

use std::sync::atomic::AtomicU64;

/// Counters of requests that have to do with durability.
#[derive(Debug, Default)]
pub(in crate::disk) struct DurabilityCounters {
    pub(in crate::disk) flushes: AtomicU64,
    pub(in crate::disk) fua: AtomicU64,
}
