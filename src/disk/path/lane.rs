//! A lane of a `limit` rule: taken by a request that passes, and given to the next one when that is answered.

use std::sync::Arc;

use super::delays::{Delays, Shared};
use super::held::{GoOn, Held};
use super::lanes::Key;
use crate::disk::pool::Pool;

/// A lane that a request has until this is dropped. Then the next request goes on.
pub(in crate::disk) struct Lane {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    key: Key,
}

impl Delays {
    /// Takes one of `all` lanes of the rule, if one is free.
    pub(in crate::disk) fn take_lane(&self, key: Key, all: u64) -> Option<Lane> {
        let is_free = self.shared.state.lock().lanes.take(key, all);
        is_free.then(|| self.lane(key))
    }

    /// The lane with which a request goes on that has waited for it.
    pub(in crate::disk) fn lane(&self, key: Key) -> Lane {
        Lane {
            shared: Arc::clone(&self.shared),
            pool: Arc::clone(&self.pool),
            key,
        }
    }

    /// Keeps `held` until it has one of `all` lanes of the rule, or is released.
    pub(in crate::disk) fn hold_for_lane(&self, key: Key, all: u64, held: Held) {
        let mut state = self.shared.state.lock();
        if state.ended {
            return; // Dropped, and so answered.
        }
        // One may have become free since it was asked for.
        if state.lanes.take(key, all) {
            drop(state);
            return held.go_on(&self.pool, GoOn::Due);
        }
        state.lanes.wait(key, held);
        drop(state);
        self.pool.expect(1);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let next = self.shared.state.lock().lanes.give_back(self.key);
        if let Some(next) = next {
            next.go_on(&self.pool, GoOn::Due);
        }
    }
}
