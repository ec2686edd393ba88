//! The requests that are in the middle of their I/O, listed without a lock. `deferred` lists all others.
//!
//! Each serving thread has a place of its own in the table of every disk and is the only one that
//! writes there. A reader may see a place change under it; the list is a picture, not a ledger.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::thread_slot::{SLOTS, my_slot};
use crate::fault::{Armed, IoRange, Op};
use crate::protocol::InFlightLine;

/// A request that has arrived and is not answered. Prints as its [`InFlightLine`].
#[derive(Clone, Debug)]
pub struct InFlight {
    /// What it asks for.
    pub range: IoRange,
    /// How long ago it arrived, or its I/O began.
    pub age: Duration,
    /// The rules that it waits for; none when it is served, or waits for a thread.
    pub rules: Vec<Arc<Armed>>,
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sector, count) = self.range.sectors();
        let line = InFlightLine {
            op: self.range.op,
            sector,
            count,
            age: self.age,
            rules: Armed::texts(&self.rules),
        };
        line.fmt(f)
    }
}

/// The table of a disk, with a place for each thread; a thread without a slot serves unseen.
#[derive(Debug)]
pub(in crate::disk) struct InFlightTable([Place; SLOTS]);

/// The request that one thread serves. On a cache line that no other thread writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    /// 0 while it is idle. The lowest bit says whether another list has the request.
    since: AtomicU64,
    offset: AtomicU64,
    len_and_op: AtomicU64,
}

/// Another list has the request.
const LISTED: u64 = 1;

impl Default for InFlightTable {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Place::default()))
    }
}

impl InFlightTable {
    /// Has the request, whose I/O begins at `now`, until the returned guard is dropped. `is_listed`: another
    /// list has it too.
    pub(in crate::disk) fn enter(
        &self,
        range: IoRange,
        now: Instant,
        is_listed: bool,
    ) -> Option<Visible<'_>> {
        let place = self.0.get(my_slot()?)?;
        place.offset.store(range.offset, Ordering::Relaxed);
        place
            .len_and_op
            .store(range.len << 3 | range.op as u64, Ordering::Relaxed);
        let since = micros(now) << 1 | u64::from(is_listed);
        place.since.store(since, Ordering::Release);
        Some(Visible(place))
    }

    /// The requests that no other list has.
    pub(in crate::disk) fn list(&self) -> Vec<InFlight> {
        self.all(|since| since & LISTED == 0)
    }

    /// All requests in their I/O.
    pub(in crate::disk) fn in_io(&self) -> Vec<InFlight> {
        self.all(|_| true)
    }

    fn all(&self, chosen: impl Fn(u64) -> bool) -> Vec<InFlight> {
        let now = micros(Instant::now());
        let busy = |place: &Place| {
            let since = place.since.load(Ordering::Acquire);
            let len_and_op = place.len_and_op.load(Ordering::Relaxed);
            (since != 0 && chosen(since)).then(|| InFlight {
                range: IoRange {
                    op: Op::ALL[(len_and_op & 7) as usize % Op::ALL.len()],
                    offset: place.offset.load(Ordering::Relaxed),
                    len: len_and_op >> 3,
                },
                age: Duration::from_micros(now.saturating_sub(since >> 1)),
                rules: Vec::new(),
            })
        };
        self.0.iter().filter_map(busy).collect()
    }
}

/// Keeps a request in the table.
pub(in crate::disk) struct Visible<'a>(&'a Place);

impl Drop for Visible<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}

/// Microseconds from the first call to `now`, plus one: never 0.
fn micros(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = now.saturating_duration_since(*START);
    // Not by `as_micros`, which divides 128 bits.
    since.as_secs() * 1_000_000 + u64::from(since.subsec_micros()) + 1
}
