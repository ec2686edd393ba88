//! The requests that have left the thread that took them in: they wait for rules, for a thread of the pool, for
//! their range or in front of the gate, or are served after that.
//!
//! A request is listed here until it is answered, wherever it moves. So the list never misses one that is on its
//! way from one of these places to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::in_flight::InFlight;
use crate::fault::{Armed, IoRange};

/// The deferred requests of a disk.
#[derive(Default)]
pub(in crate::disk) struct Deferred(Mutex<State>);

#[derive(Default)]
struct State {
    /// By their numbers, which grow.
    requests: BTreeMap<u64, Entry>,
    next: u64,
}

struct Entry {
    range: IoRange,
    arrived: Instant,
    /// Those that it waits for.
    rules: Vec<Arc<Armed>>,
}

/// Keeps a request in the list until it is dropped.
pub(in crate::disk) struct Ticket {
    list: Arc<Deferred>,
    number: u64,
}

/// Shows that a request waits for rules until it is dropped.
pub(in crate::disk) struct Waiting {
    list: Arc<Deferred>,
    number: u64,
}

impl Deferred {
    /// Lists a request.
    pub(in crate::disk) fn add(self: &Arc<Self>, range: IoRange, arrived: Instant) -> Ticket {
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        let entry = Entry {
            range,
            arrived,
            rules: Vec::new(),
        };
        state.requests.insert(number, entry);
        drop(state);
        Ticket {
            list: Arc::clone(self),
            number,
        }
    }

    pub(in crate::disk) fn list(&self) -> Vec<InFlight> {
        let state = self.0.lock();
        state.requests.values().map(Entry::in_flight).collect()
    }

    pub(in crate::disk) fn count(&self) -> usize {
        self.0.lock().requests.len()
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        self.0.lock().requests.get_mut(&number).map(change);
    }
}

impl Entry {
    fn in_flight(&self) -> InFlight {
        InFlight {
            range: self.range,
            age: self.arrived.elapsed(),
            rules: self.rules.clone(),
        }
    }
}

impl Ticket {
    /// The request waits for these rules.
    pub(in crate::disk) fn wait_for(&self, rules: Vec<Arc<Armed>>) -> Waiting {
        self.list.change(self.number, |entry| entry.rules = rules);
        Waiting {
            list: Arc::clone(&self.list),
            number: self.number,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let removed = self.list.0.lock().requests.remove(&self.number);
        // Its rules are dropped outside of the lock.
        drop(removed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut rules = Vec::new();
        self.list.change(self.number, |entry| {
            std::mem::swap(&mut rules, &mut entry.rules);
        });
    }
}
