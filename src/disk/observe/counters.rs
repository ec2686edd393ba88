//! What has happened on a disk since it was attached.
//!
//! Every request counts. So that serving threads do not wait for each other's processors, each of the
//! first ones counts in a shard of its own, and all others in one together; the shards are added up
//! when somebody looks.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::in_flight::my_place;
use super::latency::{Figures, Latency};
use crate::fault::{Action, Op};

/// Shards that one thread alone writes to: as many as serve at once on a machine of common size.
const OWN_SHARDS: usize = 4;

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
struct Shard {
    counts: [AtomicU64; ALL.len()],
    latency: Latency,
}

/// Counters of one kind of request, for one thread to count in.
#[derive(Clone, Copy, Debug)]
pub struct OpCounters<'a> {
    shard: &'a Shard,
    /// No other thread writes to the shard.
    is_own: bool,
    /// Hence it must not go to another thread.
    _stays: PhantomData<*const ()>,
}

/// Adds to a counter, which no other thread writes to if it `is_own`.
pub(in crate::disk) fn add(counter: &AtomicU64, amount: u64, is_own: bool) {
    match is_own {
        true => counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed),
        false => drop(counter.fetch_add(amount, Ordering::Relaxed)),
    }
}

impl OpCounters<'_> {
    fn add(&self, what: Count, amount: u64) {
        add(&self.shard.counts[what as usize], amount, self.is_own);
    }

    /// Counts a request of `bytes` bytes that has arrived.
    pub fn arrived(&self, bytes: u64) {
        self.add(Count::Requests, 1);
        self.add(Count::Bytes, bytes);
    }

    /// Counts an answer, well or not, that came so long after its request.
    pub fn answered(&self, after: Duration) {
        self.shard.latency.record(after, self.is_own);
    }

    /// Counts a request that a fault delays, or holds: each once.
    pub fn waits(&self, is_hang: bool) {
        self.add(if is_hang { Count::Held } else { Count::Delayed }, 1);
    }

    /// Counts a request that is acknowledged and not done, or not all of it.
    pub fn not_done(&self, partly: bool) {
        self.add(if partly { Count::Torn } else { Count::Lost }, 1);
    }

    /// Counts a request whose data or place rules change, once for each kind of change.
    pub fn changed<'a>(&self, actions: impl Iterator<Item = &'a Action>) {
        let mut seen = [false; ALL.len()];
        for action in actions {
            let what = match action {
                Action::Misdirect(_) => Count::Misdirected,
                Action::Stale => Count::Stale,
                _ => Count::Corrupted,
            };
            if !std::mem::replace(&mut seen[what as usize], true) {
                self.add(what, 1);
            }
        }
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

/// Counters of every kind of request; prints as `key value` lines. The last shard is the common one.
#[derive(Debug, Default)]
pub struct Counters([[Shard; Op::ALL.len()]; OWN_SHARDS + 1]);

impl Counters {
    /// The counters of one kind, for this thread to count in. Not to be given to another.
    pub fn of(&self, op: Op) -> OpCounters<'_> {
        let own = my_place().filter(|place| *place < OWN_SHARDS);
        OpCounters {
            shard: &self.0[own.unwrap_or(OWN_SHARDS)][op as usize],
            is_own: own.is_some(),
            _stays: PhantomData,
        }
    }

    fn shards(&self, op: Op) -> impl Iterator<Item = &Shard> {
        self.0.iter().map(move |shard| &shard[op as usize])
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in Op::ALL {
            for (what, name) in ALL {
                let counts = self.shards(op).map(|shard| &shard.counts[what as usize]);
                let sum: u64 = counts.map(|count| count.load(Ordering::Relaxed)).sum();
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
