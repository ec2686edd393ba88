//! The volatile write cache of a disk: the image below holds exactly what is durable, and what was answered since
//! lies above it, in memory.
//!
//! The overlay has a lock of its own, held for map operations. Whoever writes to the image below while there is a
//! cache holds all of the disk's range lock: so requests become durable in the order in which they were
//! answered, and one that becomes durable alone is not overwritten by an older one. Requests are inside the gate
//! of the disk's power; the cache is switched on and off while none is.

mod durable;
pub(in crate::disk) mod entry;
mod image;
mod overlay;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::disk::path::reservation::{HeldMemory, Reservation};
use crate::protocol::{CacheMode, PendingLine};
use crate::storage::LayeredImage;
use entry::{Entry, StoredChange};
use overlay::Overlay;

/// An image with a volatile write cache, which may be off. Its reads find what is pending.
pub(in crate::disk) struct CachedImage {
    /// What is durable.
    pub(in crate::disk) below: LayeredImage,
    is_on: AtomicBool,
    overlay: RwLock<Overlay>,
    /// How many requests are pending: all that a read without any has to look at.
    count: AtomicU64,
    /// The order in which requests arrive and are answered.
    sequence: AtomicU64,
    memory: HeldMemory,
    evicted: Mutex<Amount>,
}

/// Requests and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many requests.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was pending at a moment, and whether there was a cache. Its data are shared with what is pending.
pub(in crate::disk) struct SavedCache {
    mode: CacheMode,
    overlay: Overlay,
}

impl CachedImage {
    /// The image `below`, without a cache. Pending requests take `memory`.
    pub(in crate::disk) fn new(below: LayeredImage, memory: HeldMemory) -> Self {
        Self {
            below,
            is_on: AtomicBool::new(false),
            overlay: RwLock::default(),
            count: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            memory,
            evicted: Mutex::default(),
        }
    }

    /// Whether it has a cache. It stays so while a request is inside the gate.
    #[inline]
    pub(in crate::disk) fn is_cached(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    pub(in crate::disk) fn mode(&self) -> CacheMode {
        match self.is_cached() {
            true => CacheMode::Volatile,
            false => CacheMode::Off,
        }
    }

    /// Switches the cache. No request is inside the gate, and nothing is pending if it goes off.
    pub(in crate::disk) fn set_mode(&self, mode: CacheMode) {
        self.is_on
            .store(mode == CacheMode::Volatile, Ordering::SeqCst);
    }

    /// The next place in the order of arrivals and answers.
    #[inline]
    pub(in crate::disk) fn next_in_order(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Room for a change that becomes pending; None when the memory is full.
    pub(in crate::disk) fn room_for(&self, cost: u64) -> Option<Reservation> {
        let mut room = self.memory.reservation();
        room.grow(cost).ok()?;
        Some(room)
    }

    /// Makes the change pending. From now on reads find it, and the next flush covers it.
    ///
    /// `log` gets its place in the order of arrivals and answers, and returns what the caller gets.
    pub(in crate::disk) fn add<T>(
        &self,
        change: StoredChange,
        room: Reservation,
        log: impl FnOnce(u64) -> T,
    ) -> (Arc<Entry>, T) {
        let mut overlay = self.overlay.write();
        let sequence = self.next_in_order();
        let logged = log(sequence);
        let entry = overlay.add(change, sequence, room);
        self.keep_count(&overlay);
        (entry, logged)
    }

    /// What is pending, one line a request, oldest first.
    pub(in crate::disk) fn pending(&self) -> Vec<PendingLine> {
        self.overlay.read().lines()
    }

    /// How much is pending.
    pub(in crate::disk) fn pending_amount(&self) -> Amount {
        let (requests, bytes) = self.overlay.read().count();
        Amount { requests, bytes }
    }

    /// How much became durable early, for want of memory.
    pub(in crate::disk) fn evicted_amount(&self) -> Amount {
        *self.evicted.lock()
    }

    /// All that is pending, oldest first, each with the parts that still matter.
    pub(in crate::disk) fn candidates(&self) -> Vec<(Arc<Entry>, Vec<Range<u64>>)> {
        let overlay = self.overlay.read();
        let entries = overlay.all().into_iter();
        let with_live = entries.map(|entry| {
            let live = overlay.live(&entry, entry.change.span());
            (entry, live)
        });
        with_live.filter(|(_, live)| !live.is_empty()).collect()
    }

    /// Whether the request with this number is pending.
    pub(in crate::disk) fn is_pending(&self, number: u64) -> bool {
        self.overlay.read().has(number)
    }

    /// Notes how many requests are pending, before the overlay is unlocked.
    fn keep_count(&self, overlay: &Overlay) {
        self.count.store(overlay.len(), Ordering::SeqCst);
    }

    /// Whether anything is pending.
    #[inline]
    pub(in crate::disk) fn has_pending(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Whether nothing had become durable early before `evicted` did.
    pub(in crate::disk) fn is_first_eviction(&self, evicted: Amount) -> bool {
        *self.evicted.lock() == evicted
    }

    /// What is pending now, and whether there is a cache.
    pub(in crate::disk) fn saved(&self) -> SavedCache {
        SavedCache {
            mode: self.mode(),
            overlay: self.overlay.read().clone(),
        }
    }

    /// The bytes that may read in another way after [`return_to`](Self::return_to).
    pub(in crate::disk) fn differences(&self, saved: &SavedCache) -> Vec<Range<u64>> {
        let own = self.overlay.read().spans();
        [own, saved.overlay.spans()].concat()
    }

    /// Makes pending what was when `saved` was. No request is inside the gate.
    pub(in crate::disk) fn return_to(&self, saved: &SavedCache) {
        let new = saved.overlay.clone();
        let mut overlay = self.overlay.write();
        let old = std::mem::replace(&mut *overlay, new);
        self.keep_count(&overlay);
        self.set_mode(saved.mode);
        drop(overlay);
        // Its data may be large.
        drop(old);
    }

    /// Forgets all that is pending.
    pub(in crate::disk) fn forget(&self) {
        let mut overlay = self.overlay.write();
        overlay.clear();
        self.keep_count(&overlay);
    }
}
