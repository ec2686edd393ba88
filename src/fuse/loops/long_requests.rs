//! Whether requests take long lately: then storage is slow, or there is much to copy.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A request that takes longer is a long one.
pub(super) const LONG: Duration = Duration::from_micros(60);
/// How many short requests outweigh one long request.
const WEIGHT: u32 = 8;
/// Requests count as long from this weight on: four long ones without short ones in between.
pub(super) const MANY: u32 = 4 * WEIGHT;

/// The weight of the latest long requests, less that of the short ones since.
#[derive(Debug, Default)]
pub(super) struct LongRequests(AtomicU32);

/// How requests are after one more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lately {
    /// They take long.
    Long,
    /// They have just become short again.
    ShortAgain,
    /// Nothing has changed.
    AsBefore,
}

impl LongRequests {
    /// Takes in the time that a request took.
    pub(super) fn note(&self, time: Duration) -> Lately {
        let weight = self.0.load(Ordering::Relaxed);
        let new = match time > LONG {
            true => (weight + WEIGHT).min(2 * MANY),
            false if weight == 0 => return Lately::AsBefore,
            false => weight - 1,
        };
        // When two threads write at once, losing one of the updates does no harm.
        self.0.store(new, Ordering::Relaxed);
        match new {
            MANY.. => Lately::Long,
            0 => Lately::ShortAgain,
            _ => Lately::AsBefore,
        }
    }

    /// Whether requests take long.
    pub(super) fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= MANY
    }

    /// From now on they do, for as long as possible.
    pub(super) fn assume_many(&self) {
        self.0.store(2 * MANY, Ordering::Relaxed);
    }
}
