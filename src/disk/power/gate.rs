//! The gate of a disk: requests pass it before rules look at them, and leave it when they are answered or begin to
//! wait. Closing it ends all I/O of the disk at one instant: the moment at which the last request has left.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::disk::observe::thread_slot::{SLOTS, my_slot};
use crate::disk::path::Request;
use crate::fault::IoRange;

/// The time between two looks whether all requests have left.
const LOOK: Duration = Duration::from_micros(50);

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const OFF: u8 = 2;

/// The gate of a disk. Each serving thread counts in a place of its own.
pub(in crate::disk) struct Gate {
    state: AtomicU8,
    inside: [Place; SLOTS + 1],
    parked: Mutex<Vec<Parked>>,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// That a request is inside, which has to [`leave`](Gate::leave). A number of its place.
#[derive(Clone, Copy, Debug)]
pub(in crate::disk) struct Pass(u8);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum Barred {
    /// For a moment: it has to wait for what comes next.
    Closed,
    /// The power is off.
    Off,
}

/// A request that waits in front of the gate.
pub(in crate::disk) struct Parked {
    pub(in crate::disk) request: Request<'static>,
    /// What it asks for, and when it arrived.
    pub(in crate::disk) waiting: (IoRange, Instant),
    /// Goes on with it: to the gate once more, or to the error of a disk without power.
    pub(in crate::disk) go_on: Box<dyn FnOnce(Request<'static>) + Send>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(OPEN),
            inside: std::array::from_fn(|_| Place::default()),
            parked: Mutex::default(),
        }
    }
}

impl Gate {
    /// Lets a request in.
    #[inline]
    pub(in crate::disk) fn enter(&self) -> Result<Pass, Barred> {
        let place = my_slot().unwrap_or(SLOTS);
        let inside = &self.inside[place].0;
        // First in, then the look: who closes the gate first closes it, then looks who is in.
        inside.fetch_add(1, Ordering::SeqCst);
        match self.state.load(Ordering::SeqCst) {
            OPEN => Ok(Pass(place as u8)),
            state => {
                inside.fetch_sub(1, Ordering::SeqCst);
                Err(if state == OFF {
                    Barred::Off
                } else {
                    Barred::Closed
                })
            }
        }
    }

    /// A request has been answered, or waits.
    #[inline]
    pub(in crate::disk) fn leave(&self, pass: Option<Pass>) {
        if let Some(Pass(place)) = pass {
            self.inside[usize::from(place)]
                .0
                .fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Closes it. False when it is not open.
    pub(in crate::disk) fn close(&self) -> bool {
        let closed = self
            .state
            .compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst);
        closed.is_ok()
    }

    pub(in crate::disk) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    /// Waits until all requests have left. False when one of them does not by `deadline`.
    pub(in crate::disk) fn drain(&self, deadline: Instant) -> bool {
        let is_inside = |place: &Place| place.0.load(Ordering::SeqCst) > 0;
        while self.inside.iter().any(is_inside) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Has a request wait in front of the closed gate. Gives it back when the gate is not closed any more.
    pub(in crate::disk) fn park(&self, parked: Parked) -> Option<Parked> {
        let mut all = self.parked.lock();
        if !self.is_closed() {
            return Some(parked);
        }
        all.push(parked);
        None
    }

    /// What waits in front of it.
    pub(in crate::disk) fn waiting(&self) -> Vec<(IoRange, Instant)> {
        self.parked
            .lock()
            .iter()
            .map(|parked| parked.waiting)
            .collect()
    }

    /// The requests that wait in front of it. Others may come while it is closed.
    pub(in crate::disk) fn take_parked(&self) -> Vec<Parked> {
        std::mem::take(&mut self.parked.lock())
    }

    /// Opens it. Returns the requests that have waited.
    #[must_use]
    pub(in crate::disk) fn open(&self) -> Vec<Parked> {
        self.set(OPEN)
    }

    /// From now on requests meet a disk without power. Returns the requests that have waited.
    #[must_use]
    pub(in crate::disk) fn turn_off(&self) -> Vec<Parked> {
        self.set(OFF)
    }

    fn set(&self, state: u8) -> Vec<Parked> {
        let mut parked = self.parked.lock();
        self.state.store(state, Ordering::SeqCst);
        std::mem::take(&mut parked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    const FLUSH: IoRange = IoRange {
        op: crate::fault::Op::Flush,
        offset: 0,
        len: 0,
    };

    fn parked() -> Parked {
        Parked {
            request: Request::Flush { data_only: false },
            waiting: (FLUSH, Instant::now()),
            go_on: Box::new(drop),
        }
    }

    #[test]
    fn gate_that_is_closed_drains_and_lets_nobody_in() {
        let gate = Gate::default();
        let pass = gate.enter().unwrap();
        assert!(gate.close() && !gate.close());
        assert_eq!(gate.enter().unwrap_err(), Barred::Closed);
        assert!(!gate.drain(soon()));
        gate.leave(Some(pass));
        assert!(gate.drain(soon()));
        assert!(gate.park(parked()).is_none());
        assert_eq!(gate.turn_off().len(), 1);
        assert_eq!(gate.enter().unwrap_err(), Barred::Off);
        assert!(gate.park(parked()).is_some());
        assert!(gate.open().is_empty());
        gate.leave(gate.enter().ok());
    }

    #[test]
    fn gate_is_empty_after_it_was_drained_whatever_threads_come() {
        let gate = Arc::new(Gate::default());
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Ok(pass) = gate.enter() {
                        done.fetch_add(1, Ordering::SeqCst);
                        gate.leave(Some(pass));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(5));
            gate.close();
            assert!(gate.drain(Instant::now() + Duration::from_secs(5)));
            let before = done.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(done.load(Ordering::SeqCst), before);
        });
    }
}
