//! What has happened on a disk since it was attached.
//!
//! Every request counts. So that serving threads do not wait for each other's processors, they count
//! in shards, which are added up when somebody looks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::{Figures, Latency};
use super::serving::my_place;
use crate::fault::{Action, Op};

/// As many threads serve at once on a machine of common size.
const SHARDS: usize = 4;

/// What is counted for each kind of request, with its name in `stats`.
#[derive(Clone, Copy, Debug)]
enum Count {
    Requests,
    Bytes,
    Delayed,
    Held,
    Lost,
    Torn,
    Misdirected,
    Corrupted,
    Stale,
    ErrorsInjected,
    ErrorsHost,
}

const ALL: [(Count, &str); 11] = [
    (Count::Requests, "requests"),
    (Count::Bytes, "bytes"),
    (Count::Delayed, "delayed"),
    (Count::Held, "held"),
    (Count::Lost, "lost"),
    (Count::Torn, "torn"),
    (Count::Misdirected, "misdirected"),
    (Count::Corrupted, "corrupted"),
    (Count::Stale, "stale"),
    (Count::ErrorsInjected, "errors_injected"),
    (Count::ErrorsHost, "errors_host"),
];

/// Counters of one kind of request in one shard. They only grow. On cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OpCounters {
    counts: [AtomicU64; ALL.len()],
    latency: Latency,
}

impl OpCounters {
    fn add(&self, what: Count, amount: u64) {
        self.counts[what as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// Counts a request of `bytes` bytes that has arrived.
    pub fn arrived(&self, bytes: u64) {
        self.add(Count::Requests, 1);
        self.add(Count::Bytes, bytes);
    }

    /// Counts an answer, well or not, that came so long after its request.
    pub fn answered(&self, after: Duration) {
        self.latency.record(after);
    }

    /// Counts a request that a fault delays, or holds.
    pub fn waits(&self, is_hang: bool) {
        self.add(if is_hang { Count::Held } else { Count::Delayed }, 1);
    }

    /// Counts a request that is acknowledged and not done, or not all of it.
    pub fn not_done(&self, partly: bool) {
        self.add(if partly { Count::Torn } else { Count::Lost }, 1);
    }

    /// Counts a change to the data or the place of a request.
    pub fn changed(&self, action: &Action) {
        let what = match action {
            Action::Misdirect(_) => Count::Misdirected,
            Action::Stale => Count::Stale,
            _ => Count::Corrupted,
        };
        self.add(what, 1);
    }

    /// Counts a request that a fault fails.
    pub fn injected_error(&self) {
        self.add(Count::ErrorsInjected, 1);
    }

    /// Counts a request that the host failed.
    pub fn host_error(&self) {
        self.add(Count::ErrorsHost, 1);
    }
}

/// Counters of every kind of request; prints as `key value` lines.
#[derive(Debug, Default)]
pub struct Counters([[OpCounters; Op::ALL.len()]; SHARDS]);

impl Counters {
    /// The counters of one kind, for this thread to count in.
    pub fn of(&self, op: Op) -> &OpCounters {
        let shard = my_place().unwrap_or_default() % SHARDS;
        &self.0[shard][op as usize]
    }

    fn shards(&self, op: Op) -> impl Iterator<Item = &OpCounters> {
        self.0.iter().map(move |shard| &shard[op as usize])
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in Op::ALL {
            for (what, name) in ALL {
                let sum: u64 = self.shards(op).map(|shard| shard.get(what)).sum();
                writeln!(f, "{op}_{name} {sum}")?;
            }
            let latencies = self.shards(op).map(|shard| &shard.latency);
            for (name, value) in Figures::of(latencies).lines() {
                writeln!(f, "{op}_{name} {value}")?;
            }
        }
        Ok(())
    }
}
