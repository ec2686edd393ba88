//! Counters of the requests of a disk since it was attached.
//!
//! Every request counts. So that serving threads do not wait for each other's processors, each of the
//! first ones counts in a shard of its own, and all others in one together; the shards are added up
//! to be shown.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::{Figures, Latency};
use super::thread_slot::{add, my_slot};
use crate::protocol::{Effect, Op, OpCounter, StatKey, StatLine};

/// Shards that one thread alone writes to: as many as serve at once on a machine of common size.
const OWN_SHARDS: usize = 4;

/// Counters of one kind of request in one shard. They only grow. On cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    requests: AtomicU64,
    bytes: AtomicU64,
    effects: [AtomicU64; Effect::ALL.len()],
    errors_injected: AtomicU64,
    errors_host: AtomicU64,
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

impl OpCounters<'_> {
    fn add(&self, counter: &AtomicU64, amount: u64) {
        add(counter, amount, self.is_own);
    }

    /// Counts a request of `bytes` bytes that has arrived.
    pub fn arrived(&self, bytes: u64) {
        self.add(&self.shard.requests, 1);
        self.add(&self.shard.bytes, bytes);
    }

    /// Counts an answer, well or not, that came so long after its request.
    pub fn answered(&self, after: Duration) {
        self.shard.latency.record(after, self.is_own);
    }

    /// Counts a request that rules have acted on with these effects: once for each effect.
    pub fn acted_on(&self, effects: impl IntoIterator<Item = Effect>) {
        let mut counted = [false; Effect::ALL.len()];
        for effect in effects {
            if !std::mem::replace(&mut counted[effect as usize], true) {
                self.add(&self.shard.effects[effect as usize], 1);
            }
        }
    }

    /// Counts a request that a fault fails.
    pub fn injected_error(&self) {
        self.add(&self.shard.errors_injected, 1);
    }

    /// Counts a request that the host failed.
    pub fn host_error(&self) {
        self.add(&self.shard.errors_host, 1);
    }
}

/// Counters of every kind of request. The last shard is the common one.
#[derive(Debug, Default)]
pub struct Counters([[Shard; Op::ALL.len()]; OWN_SHARDS + 1]);

impl Counters {
    /// The counters of one kind, for this thread to count in. Not to be given to another.
    pub fn of(&self, op: Op) -> OpCounters<'_> {
        let own = my_slot().filter(|place| *place < OWN_SHARDS);
        OpCounters {
            shard: &self.0[own.unwrap_or(OWN_SHARDS)][op as usize],
            is_own: own.is_some(),
            _stays: PhantomData,
        }
    }

    fn shards(&self, op: Op) -> impl Iterator<Item = &Shard> {
        self.0.iter().map(move |shard| &shard[op as usize])
    }

    fn sum(&self, op: Op, counter: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        let counts = self.shards(op).map(counter);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Counters {
    /// All counters, in the order of `stats`.
    pub fn lines(&self) -> impl Iterator<Item = StatLine> {
        Op::ALL.into_iter().flat_map(move |op| {
            let figures = Figures::of(self.shards(op).map(|shard| &shard.latency));
            OpCounter::all().map(move |counter| StatLine {
                key: StatKey::Op(op, counter),
                value: self.value(op, counter, &figures),
            })
        })
    }

    fn value(&self, op: Op, counter: OpCounter, figures: &Figures) -> u64 {
        match counter {
            OpCounter::Requests => self.sum(op, |shard| &shard.requests),
            OpCounter::Bytes => self.sum(op, |shard| &shard.bytes),
            OpCounter::Effect(effect) => self.sum(op, |shard| &shard.effects[effect as usize]),
            OpCounter::ErrorsInjected => self.sum(op, |shard| &shard.errors_injected),
            OpCounter::ErrorsHost => self.sum(op, |shard| &shard.errors_host),
            OpCounter::Answered => figures.answered(),
            OpCounter::Latency(figure) => figures.figure(figure),
        }
    }
}
