//! The gate of a disk: requests pass it before rules look at them, and leave it when they are answered or begin to
//! wait. Closing it ends all I/O of the disk at one instant: the moment at which the last request has left.
//!
//! A request that has arrived while the power was on is not let in after a cut, even if the power is back by then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::disk::observe::thread_slot::{SLOTS, my_slot};
use crate::disk::path::Request;

/// The time between two looks whether all requests have left.
pub(in crate::disk) const LOOK: Duration = Duration::from_micros(50);

/// The gate is closed for work that wants no request inside.
const QUIET: u64 = 1;
/// It is closed for a cut.
const CUT: u64 = 2;
/// The power is off.
const OFF: u64 = 4;
/// Why it is not open; the rest of the state is the era.
const BARS: u64 = QUIET | CUT | OFF;
const ERA: u64 = BARS + 1;

/// The gate of a disk. Each serving thread counts in a place of its own.
pub(in crate::disk) struct Gate {
    /// The era, which changes whenever the power goes off or returns, and what bars requests.
    state: AtomicU64,
    inside: [Place; SLOTS + 1],
    parked: Mutex<Vec<Parked>>,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// When a request has arrived, as the power has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct Era(u64);

/// That a request is inside, which has to [`leave`](Gate::leave). A number of its place.
#[derive(Clone, Copy, Debug)]
pub(in crate::disk) struct Pass(u8);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum Barred {
    /// For a moment: it has to wait for what comes next.
    Closed,
    /// The power is off, or was since the request has arrived.
    Off,
}

/// Why the gate is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum NotClosed {
    /// It is closed for a moment.
    Busy,
    /// The power is off, or about to be.
    Off,
}

/// A request that waits in front of the gate.
pub(in crate::disk) struct Parked {
    pub(in crate::disk) request: Request<'static>,
    /// Goes on with it: to the gate once more, or to the error of a disk without power.
    pub(in crate::disk) go_on: Box<dyn FnOnce(Request<'static>) + Send>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: AtomicU64::new(0),
            inside: std::array::from_fn(|_| Place::default()),
            parked: Mutex::default(),
        }
    }
}

impl Gate {
    /// The era in which a request arrives now.
    #[inline]
    pub(in crate::disk) fn era(&self) -> Era {
        Era(self.state.load(Ordering::SeqCst) & !BARS)
    }

    /// Lets a request in that has arrived in `era`.
    #[inline]
    pub(in crate::disk) fn enter(&self, era: Era) -> Result<Pass, Barred> {
        let place = my_slot().unwrap_or(SLOTS);
        let inside = &self.inside[place].0;
        // First in, then the look: who closes the gate first closes it, then looks who is in.
        inside.fetch_add(1, Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        if state == era.0 {
            return Ok(Pass(place as u8));
        }
        inside.fetch_sub(1, Ordering::SeqCst);
        Err(match is_over(state, era) {
            true => Barred::Off,
            false => Barred::Closed,
        })
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

    /// Closes it for a cut, which has to [turn it off](Self::turn_off) or [give it up](Self::give_up_cut). False
    /// when another cut has it, or the power is off. Work that wants it quiet may go on: the cut
    /// [waits](Self::drain) for it.
    pub(in crate::disk) fn close_for_cut(&self) -> bool {
        self.bar(CUT, CUT | OFF).is_ok()
    }

    /// Closes it for work that wants no request inside, until [`end_quiet`](Self::end_quiet).
    pub(in crate::disk) fn close_for_quiet(&self) -> Result<(), NotClosed> {
        self.bar(QUIET, BARS)
            .map_err(|state| match state & (CUT | OFF) {
                0 => NotClosed::Busy,
                _ => NotClosed::Off,
            })
    }

    /// The same whether the power is on or off. False while other such work, or a cut, has it.
    pub(in crate::disk) fn close_for_quiet_in_any_power(&self) -> bool {
        self.bar(QUIET, QUIET | CUT).is_ok()
    }

    /// Sets `bar` unless one of `unless` is set.
    fn bar(&self, bar: u64, unless: u64) -> Result<(), u64> {
        let barred = |state| (state & unless == 0).then_some(state | bar);
        let set = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, barred);
        set.map(drop)
    }

    /// Whether it is closed for a moment.
    pub(in crate::disk) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) & (QUIET | CUT) != 0
    }

    /// Whether the power is off, or was since a request has arrived in `era`.
    pub(in crate::disk) fn is_over(&self, era: Era) -> bool {
        is_over(self.state.load(Ordering::SeqCst), era)
    }

    /// Waits until all requests have left. False when one of them does not by `deadline`.
    pub(in crate::disk) fn drain(&self, deadline: Instant) -> bool {
        let is_inside = |place: &Place| place.0.load(Ordering::SeqCst) > 0;
        wait_while(deadline, || self.inside.iter().any(is_inside))
    }

    /// Waits until work that wants it quiet is over. False when it is not by `deadline`.
    pub(in crate::disk) fn outwait_quiet(&self, deadline: Instant) -> bool {
        wait_while(deadline, || self.state.load(Ordering::SeqCst) & QUIET != 0)
    }

    /// Waits until it is not closed for a moment. False when it still is by `deadline`.
    pub(in crate::disk) fn outwait_closed(&self, deadline: Instant) -> bool {
        wait_while(deadline, || self.is_closed())
    }

    /// Waits until no cut is under way. False when one still is by `deadline`.
    pub(in crate::disk) fn outwait_cut(&self, deadline: Instant) -> bool {
        wait_while(deadline, || self.state.load(Ordering::SeqCst) & CUT != 0)
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

    /// The requests that wait in front of it. Others may come while it is closed.
    pub(in crate::disk) fn take_parked(&self) -> Vec<Parked> {
        std::mem::take(&mut self.parked.lock())
    }

    /// The work is done that wanted it quiet. Returns the requests that have waited, unless a cut has it now.
    #[must_use]
    pub(in crate::disk) fn end_quiet(&self) -> Vec<Parked> {
        self.set(|state| state & !QUIET)
    }

    /// The same, and from now on the power is on or off. Requests that have arrived before it changed are not let in.
    #[must_use]
    pub(in crate::disk) fn end_quiet_with_power(&self, is_on: bool) -> Vec<Parked> {
        self.set(|state| {
            let quiet_over = state & !QUIET;
            match (is_on, state & OFF != 0) {
                (true, true) => (quiet_over & !OFF) + ERA,
                (false, false) => (quiet_over | OFF) + ERA,
                (true, false) | (false, true) => quiet_over,
            }
        })
    }

    /// There is no cut after all. Returns the requests that have waited.
    #[must_use]
    pub(in crate::disk) fn give_up_cut(&self) -> Vec<Parked> {
        self.set(|state| state & !CUT)
    }

    /// The power returns. Returns the requests that have waited.
    #[must_use]
    pub(in crate::disk) fn open(&self) -> Vec<Parked> {
        self.set(|state| (state & !(CUT | OFF)) + ERA)
    }

    /// From now on requests meet a disk without power. Returns the requests that have waited.
    #[must_use]
    pub(in crate::disk) fn turn_off(&self) -> Vec<Parked> {
        self.set(|state| (state & !CUT | OFF) + ERA)
    }

    fn set(&self, new: impl Fn(u64) -> u64) -> Vec<Parked> {
        let mut parked = self.parked.lock();
        let changed = |state| Some(new(state));
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
        match self.is_closed() {
            true => Vec::new(),
            false => std::mem::take(&mut parked),
        }
    }
}

fn is_over(state: u64, era: Era) -> bool {
    state & !BARS != era.0 || state & OFF != 0
}

/// Waits until `goes_on` is false. False when it is not by `deadline`.
fn wait_while(deadline: Instant, goes_on: impl Fn() -> bool) -> bool {
    while goes_on() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn parked() -> Parked {
        Parked {
            request: Request::Flush { data_only: false },
            go_on: Box::new(drop),
        }
    }

    #[test]
    fn gate_that_is_closed_drains_and_lets_nobody_in() {
        let gate = Gate::default();
        let era = gate.era();
        let pass = gate.enter(era).unwrap();
        assert!(gate.close_for_cut() && !gate.close_for_cut());
        assert_eq!(gate.enter(era).unwrap_err(), Barred::Closed);
        assert!(!gate.drain(soon()));
        gate.leave(Some(pass));
        assert!(gate.drain(soon()));
        assert!(gate.park(parked()).is_none());
        assert_eq!(gate.turn_off().len(), 1);
        let dark = gate.era();
        assert_eq!(gate.enter(dark).unwrap_err(), Barred::Off);
        assert!(gate.park(parked()).is_some());
        assert!(gate.open().is_empty());
        for older in [era, dark] {
            assert_eq!(gate.enter(older).unwrap_err(), Barred::Off);
        }
        gate.leave(gate.enter(gate.era()).ok());
    }

    #[test]
    fn gate_that_is_closed_for_quiet_work_is_closed_for_a_cut_too_which_outwaits_the_work() {
        let gate = Gate::default();
        let era = gate.era();
        gate.close_for_quiet().unwrap();
        assert_eq!(gate.close_for_quiet(), Err(NotClosed::Busy));
        assert!(gate.park(parked()).is_none());
        assert!(gate.close_for_cut());
        assert!(!gate.outwait_quiet(soon()));
        assert!(gate.end_quiet().is_empty(), "the cut decides about them");
        assert!(gate.outwait_quiet(soon()));
        assert_eq!(gate.enter(era).unwrap_err(), Barred::Closed);
        assert_eq!(gate.close_for_quiet(), Err(NotClosed::Off));
        assert_eq!(gate.give_up_cut().len(), 1);
        gate.leave(gate.enter(era).ok());
        gate.close_for_quiet().unwrap();
        assert!(gate.end_quiet().is_empty());
        assert!(gate.enter(era).is_ok());
    }

    #[test]
    fn gate_is_empty_after_it_was_drained_whatever_threads_come() {
        let gate = Arc::new(Gate::default());
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Ok(pass) = gate.enter(gate.era()) {
                        done.fetch_add(1, Ordering::SeqCst);
                        gate.leave(Some(pass));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(5));
            gate.close_for_cut();
            assert!(gate.drain(Instant::now() + Duration::from_secs(60)));
            let before = done.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(done.load(Ordering::SeqCst), before);
        });
    }
}
