//! Which requests are in the middle of their I/O, kept without a lock.
//!
//! Each serving thread has a place of its own in the table of every disk and is the only one that
//! writes there. A reader may see a place change under it; the list is a picture, not a ledger.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::fault::{Armed, IoRange, Op};
use crate::protocol::InFlightLine;

/// More than all loops and workers together; a thread beyond it serves unseen.
const PLACES: usize = 128;

/// A request that has arrived and is not answered. Prints as its [`InFlightLine`].
#[derive(Clone, Debug)]
pub struct InFlight {
    /// What it asks for.
    pub ask: IoRange,
    /// How long ago it arrived, or its I/O began.
    pub age: Duration,
    /// The rules that it waits for; none when it is served, or waits for a thread.
    pub rules: Vec<Arc<Armed>>,
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sector, count) = self.ask.sectors();
        let line = InFlightLine {
            op: self.ask.op,
            sector,
            count,
            age: self.age,
            rules: Armed::texts(&self.rules).into(),
        };
        line.fmt(f)
    }
}

/// The table of a disk.
#[derive(Debug)]
pub(in crate::disk) struct Serving([Place; PLACES]);

/// What one thread serves; idle while `since` is 0. On a cache line that no other thread writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    since: AtomicU64,
    offset: AtomicU64,
    len_and_op: AtomicU64,
}

impl Default for Serving {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Place::default()))
    }
}

impl Serving {
    /// Shows the request, whose I/O begins at `now`, in the list until the returned guard is dropped.
    pub(in crate::disk) fn enter(&self, ask: IoRange, now: Instant) -> Option<Visible<'_>> {
        let place = self.0.get(my_place()?)?;
        place.offset.store(ask.offset, Ordering::Relaxed);
        place
            .len_and_op
            .store(ask.len << 3 | ask.op as u64, Ordering::Relaxed);
        place.since.store(micros(now), Ordering::Release);
        Some(Visible(place))
    }

    pub(in crate::disk) fn list(&self) -> Vec<InFlight> {
        let now = micros(Instant::now());
        let busy = |place: &Place| {
            let since = place.since.load(Ordering::Acquire);
            let len_and_op = place.len_and_op.load(Ordering::Relaxed);
            (since != 0).then(|| InFlight {
                ask: IoRange {
                    op: Op::ALL[(len_and_op & 7) as usize % Op::ALL.len()],
                    offset: place.offset.load(Ordering::Relaxed),
                    len: len_and_op >> 3,
                },
                age: Duration::from_micros(now.saturating_sub(since)),
                rules: Vec::new(),
            })
        };
        self.0.iter().filter_map(busy).collect()
    }
}

/// Keeps a request in the list of those being served.
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

static FREE_PLACES: Mutex<[bool; PLACES]> = Mutex::new([true; PLACES]);

/// A place that goes back when its thread ends.
struct MyPlace(Option<usize>);

impl MyPlace {
    fn take() -> Self {
        let mut free = FREE_PLACES.lock();
        let place = free.iter().position(|free| *free);
        if let Some(place) = place {
            free[place] = false;
        }
        Self(place)
    }
}

impl Drop for MyPlace {
    fn drop(&mut self) {
        KNOWN.set(NONE);
        if let Some(place) = self.0 {
            FREE_PLACES.lock()[place] = true;
        }
    }
}

/// There is no such place: the thread has none, or has not asked for one.
const NONE: usize = PLACES;
const UNKNOWN: usize = PLACES + 1;

thread_local! {
    /// The place of this thread, where it is found quickest.
    static KNOWN: Cell<usize> = const { Cell::new(UNKNOWN) };
    static MINE: MyPlace = MyPlace::take();
}

/// The place of this thread: a small number that no other has while it lives; None when there are
/// too many threads.
#[inline]
pub(in crate::disk) fn my_place() -> Option<usize> {
    let mut known = KNOWN.get();
    if known == UNKNOWN {
        known = find_place();
    }
    (known < PLACES).then_some(known)
}

#[cold]
fn find_place() -> usize {
    let place = MINE.with(|mine| mine.0).unwrap_or(NONE);
    KNOWN.set(place);
    place
}
