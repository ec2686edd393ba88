//! Numbers for threads, so that each has places of its own to write to in tables that all threads read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// More than all loops and workers together; a thread beyond it has no number.
pub(in crate::disk) const SLOTS: usize = 128;

/// Adds to a counter, which no other thread writes to if it `is_own`.
pub(super) fn add(counter: &AtomicU64, amount: u64, is_own: bool) {
    match is_own {
        true => counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed),
        false => drop(counter.fetch_add(amount, Ordering::Relaxed)),
    }
}

static FREE: Mutex<[bool; SLOTS]> = Mutex::new([true; SLOTS]);

/// A slot that goes back when its thread ends.
struct MySlot(Option<usize>);

impl MySlot {
    fn take() -> Self {
        let mut free = FREE.lock();
        let slot = free.iter().position(|free| *free);
        if let Some(slot) = slot {
            free[slot] = false;
        }
        Self(slot)
    }
}

impl Drop for MySlot {
    fn drop(&mut self) {
        KNOWN.set(NONE);
        if let Some(slot) = self.0 {
            FREE.lock()[slot] = true;
        }
    }
}

/// The thread has none, or has not asked for one.
const NONE: usize = SLOTS;
const UNKNOWN: usize = SLOTS + 1;

thread_local! {
    /// The slot of this thread, where it is found quickest.
    static KNOWN: Cell<usize> = const { Cell::new(UNKNOWN) };
    static MINE: MySlot = MySlot::take();
}

/// The slot of this thread: a small number that no other has while it lives; None when there are
/// too many threads.
#[inline]
pub(in crate::disk) fn my_slot() -> Option<usize> {
    let mut known = KNOWN.get();
    if known == UNKNOWN {
        known = find_slot();
    }
    (known < SLOTS).then_some(known)
}

#[cold]
fn find_slot() -> usize {
    let slot = MINE.with(|mine| mine.0).unwrap_or(NONE);
    KNOWN.set(slot);
    slot
}
