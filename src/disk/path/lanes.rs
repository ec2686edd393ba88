//! The lanes of `limit` rules: how many requests of a rule have passed and are not answered, and the queues of those
//! that wait for one.

use std::collections::{HashMap, VecDeque};

use super::held::Held;
use crate::disk::pool::Owner;

/// The rule with this ID, of the disk with this number.
pub(super) type Key = (Owner, u64);

/// The lanes of all rules that have one in use.
#[derive(Default)]
pub(super) struct Lanes(HashMap<Key, Queue>);

#[derive(Default)]
struct Queue {
    in_use: u64,
    /// First come, first served.
    waiting: VecDeque<Held>,
}

impl Lanes {
    /// Takes one of `all` lanes, if one is free.
    pub(super) fn take(&mut self, key: Key, all: u64) -> bool {
        let queue = self.0.entry(key).or_default();
        let is_free = queue.in_use < all && queue.waiting.is_empty();
        queue.in_use += u64::from(is_free);
        is_free
    }

    /// A lane is free again. The request that has it now, if one waited.
    pub(super) fn give_back(&mut self, key: Key) -> Option<Held> {
        let queue = self.0.get_mut(&key)?;
        if let Some(next) = queue.waiting.pop_front() {
            return Some(next);
        }
        queue.in_use = queue.in_use.saturating_sub(1);
        if queue.in_use == 0 {
            self.0.remove(&key);
        }
        None
    }

    /// Has `held` wait for a lane of a rule that has none left.
    pub(super) fn wait(&mut self, key: Key, held: Held) {
        self.0.entry(key).or_default().waiting.push_back(held);
    }

    /// Takes out the waiting requests of `owner` that are `chosen`.
    pub(super) fn remove(&mut self, owner: Owner, chosen: impl Fn(&Held) -> bool) -> Vec<Held> {
        let mut removed = Vec::new();
        let queues = self.0.iter_mut().filter(|((of, _), _)| *of == owner);
        for (_, queue) in queues {
            let waiting = std::mem::take(&mut queue.waiting).into_iter();
            let (go, stay): (Vec<_>, Vec<_>) = waiting.partition(&chosen);
            queue.waiting = stay.into();
            removed.extend(go);
        }
        removed
    }
}
