//! Requests that wait, in a heap and not on threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::thread::set_current_timer_slack;

use super::held::{GoOn, Held};
use super::lanes::Lanes;
use super::lead::Lead;
use super::reservation::{HeldMemory, MOST_HELD};
use crate::disk::pool::{Owner, Pool};
use crate::fault::Then;

/// All waiting requests of a server. One thread sleeps until the first is due and hands those that are
/// due to the pool. The lock is held only to push and pop.
pub struct Delays {
    pub(super) shared: Arc<Shared>,
    timer: Mutex<Option<JoinHandle<()>>>,
    pub(super) pool: Arc<Pool>,
    memory: HeldMemory,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    changed: Condvar,
    lead: Arc<Lead>,
}

#[derive(Default)]
pub(super) struct State {
    heap: BinaryHeap<Reverse<Held>>,
    /// Those that wait for others to be answered.
    pub(super) lanes: Lanes,
    pub(super) ended: bool,
}

impl Delays {
    /// Starts the timer thread; requests that are due go on in `pool`.
    pub fn start(pool: Arc<Pool>) -> std::io::Result<Self> {
        Self::with_memory(pool, MOST_HELD)
    }

    /// The same, with so much memory for what waits, in bytes.
    pub fn with_memory(pool: Arc<Pool>, memory: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, workers) = (Arc::clone(&shared), Arc::clone(&pool));
        let timer = std::thread::Builder::new().name("delays".into());
        let timer = timer.spawn(move || theirs.run(&workers))?;
        Ok(Self {
            shared,
            timer: Mutex::new(Some(timer)),
            pool,
            memory: HeldMemory::new(memory),
        })
    }

    /// Where requests go on that are due.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The memory that waiting requests share with what `stale` rules keep.
    pub(in crate::disk) fn memory(&self) -> &HeldMemory {
        &self.memory
    }

    /// How long a request is about on its way to the server and back. Two threads are woken up there, as for each
    /// request that is due, but often on a processor that is awake: three quarters as measured with fio.
    pub(super) fn way(&self) -> Duration {
        self.shared.lead.get() * 3 / 4
    }

    /// Keeps `held` until it is due or released.
    pub(in crate::disk) fn hold(&self, held: Held) {
        let mut state = self.shared.state.lock();
        if state.ended {
            return; // Dropped, and so answered.
        }
        let is_first = state
            .heap
            .peek()
            .is_none_or(|Reverse(first)| held.due < first.due);
        state.heap.push(Reverse(held));
        let waiting = state.heap.len();
        drop(state);
        self.pool.expect(waiting);
        if is_first {
            self.shared.changed.notify_one();
        }
    }

    /// Lets the waiting requests of `owner` that are `chosen` go on now, in the way of `then`;
    /// returns how many.
    pub(in crate::disk) fn release(
        &self,
        owner: Owner,
        then: Then,
        chosen: impl Fn(&Held) -> bool,
    ) -> usize {
        let mut state = self.shared.state.lock();
        let (go, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut state.heap)
            .into_iter()
            .partition(|Reverse(held)| held.owner == owner && chosen(held));
        state.heap = stay.into();
        let queued = state.lanes.remove(owner, chosen);
        drop(state);
        let count = go.len() + queued.len();
        for held in go.into_iter().map(|Reverse(held)| held).chain(queued) {
            held.go_on(&self.pool, GoOn::Released(then));
        }
        count
    }

    /// Takes the waiting requests of `owner` out, in no order.
    pub(in crate::disk) fn take(&self, owner: Owner) -> Vec<Held> {
        let mut state = self.shared.state.lock();
        let all = std::mem::take(&mut state.heap).into_iter();
        let (taken, stay): (Vec<_>, Vec<_>) = all.partition(|Reverse(held)| held.owner == owner);
        state.heap = stay.into();
        let queued = state.lanes.remove(owner, |_| true);
        drop(state);
        let taken = taken.into_iter().map(|Reverse(held)| held);
        taken.chain(queued).collect()
    }

    /// Ends the timer. Whatever still waits, now or later, is dropped and so answered with EIO.
    pub fn end(&self) {
        let mut state = self.shared.state.lock();
        state.ended = true;
        let dropped = (
            std::mem::take(&mut state.heap),
            std::mem::take(&mut state.lanes),
        );
        drop(state);
        drop(dropped);
        self.shared.changed.notify_one();
        if let Some(timer) = self.timer.lock().take() {
            let _ = timer.join();
        }
    }
}

impl Drop for Delays {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn run(&self, pool: &Pool) {
        // The kernel would put waking up off by 50 us, to do it together with others.
        let _ = set_current_timer_slack(NonZero::new(1));
        let mut state = self.state.lock();
        while !state.ended {
            let now = Instant::now() + self.lead.get();
            let wait = match state.heap.peek() {
                Some(Reverse(first)) if first.due <= now => Duration::ZERO,
                Some(Reverse(first)) => first.due - now,
                None => Duration::from_secs(3600),
            };
            if !wait.is_zero() {
                self.changed.wait_for(&mut state, wait);
            } else if let Some(Reverse(due)) = state.heap.pop() {
                MutexGuard::unlocked(&mut state, || due.go_on_when_due(pool, &self.lead));
            }
        }
    }
}
