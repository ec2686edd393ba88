//! How long a request that has waited takes itself: its I/O, and its answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::fault::Op;

/// The most. What takes longer is the storage's own time, not the way of a request.
const MOST: Duration = Duration::from_micros(150);

/// The usual time of each kind of request. Threads that change it at one moment may lose what one of them has learnt.
#[derive(Debug, Default)]
pub(in crate::disk) struct OwnTimes([AtomicU64; Op::ALL.len()]);

impl OwnTimes {
    /// The usual one.
    pub(super) fn of(&self, op: Op) -> Duration {
        Duration::from_nanos(self.0[op as usize].load(Ordering::Relaxed))
    }

    /// One took so long.
    pub(super) fn learn(&self, op: Op, took: Duration) {
        let next = (15 * self.of(op) + took.min(MOST)) / 16;
        self.0[op as usize].store(next.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_time_is_near_to_that_of_the_latest_requests_of_its_kind_up_to_a_bound() {
        let times = OwnTimes::default();
        let after = |took| {
            (0..200).for_each(|_| times.learn(Op::Read, took));
            times.of(Op::Read)
        };
        let near = |is: Duration, to: Duration| is.abs_diff(to) < Duration::from_micros(1);
        for took in [100, 20] {
            let took = Duration::from_micros(took);
            assert!(near(after(took), took));
        }
        assert!(near(after(Duration::from_secs(1)), MOST));
        assert_eq!(times.of(Op::Write), Duration::ZERO);
    }
}
