//! What has happened on a disk since it was attached.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::Latency;
use crate::fault::{Action, Op};

/// Counters of one kind of request. They only grow. On cache lines of their own: every request
/// writes to them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OpCounters {
    requests: AtomicU64,
    bytes: AtomicU64,
    delayed: AtomicU64,
    held: AtomicU64,
    lost: AtomicU64,
    torn: AtomicU64,
    misdirected: AtomicU64,
    corrupted: AtomicU64,
    stale: AtomicU64,
    errors_injected: AtomicU64,
    errors_host: AtomicU64,
    latency: Latency,
}

impl OpCounters {
    /// Counts an answer, well or not, that came so long after its request.
    pub fn answered(&self, after: Duration) {
        self.latency.record(after);
    }

    /// Counts a request that a fault delays, or holds.
    pub fn waits(&self, is_hang: bool) {
        let counter = if is_hang { &self.held } else { &self.delayed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is acknowledged and not done, or not all of it.
    pub fn not_done(&self, partly: bool) {
        let counter = if partly { &self.torn } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a change to the data or the place of a request.
    pub fn changed(&self, action: &Action) {
        let counter = match action {
            Action::Misdirect(_) => &self.misdirected,
            Action::Stale => &self.stale,
            _ => &self.corrupted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that a fault fails.
    pub fn injected_error(&self) {
        self.errors_injected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that the host failed.
    pub fn host_error(&self) {
        self.errors_host.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counters of every kind of request; prints as `key value` lines.
#[derive(Debug, Default)]
pub struct Counters([OpCounters; Op::ALL.len()]);

impl Counters {
    /// The counters of one kind.
    pub fn of(&self, op: Op) -> &OpCounters {
        &self.0[op as usize]
    }

    /// Counts a request of `bytes` bytes that has arrived.
    pub fn arrived(&self, op: Op, bytes: u64) {
        let counters = self.of(op);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in Op::ALL {
            let counters = self.of(op);
            let lines = [
                ("requests", &counters.requests),
                ("bytes", &counters.bytes),
                ("delayed", &counters.delayed),
                ("held", &counters.held),
                ("lost", &counters.lost),
                ("torn", &counters.torn),
                ("misdirected", &counters.misdirected),
                ("corrupted", &counters.corrupted),
                ("stale", &counters.stale),
                ("errors_injected", &counters.errors_injected),
                ("errors_host", &counters.errors_host),
            ];
            for (what, value) in lines {
                writeln!(f, "{op}_{what} {}", value.load(Ordering::Relaxed))?;
            }
            for (what, value) in counters.latency.figures() {
                writeln!(f, "{op}_{what} {value}")?;
            }
        }
        Ok(())
    }
}
