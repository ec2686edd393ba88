//! How much sooner the timer hands a request on: as long as it takes to wake the threads up. So the request goes on when
//! it is due, not some 100 us later.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most. Threads that take longer are late because there is much to do; sooner would not help.
const MOST: Duration = Duration::from_micros(150);

/// Learns from each request. Threads that change it at one moment may lose what one of them has learnt.
#[derive(Debug, Default)]
pub(in crate::disk) struct Lead(AtomicU64);

impl Lead {
    pub(super) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Called by the thread that goes on with a request that has waited since `arrived`: returns when it is `due`.
    pub(super) fn arrive(&self, arrived: Instant, due: Instant) {
        // What waits for a shorter time is handed on at once, and says nothing of a thread.
        if due - arrived > 2 * MOST {
            let handed_on = due - self.get();
            self.learn(Instant::now().saturating_duration_since(handed_on));
        }
        while Instant::now() < due {
            spin_loop();
        }
    }

    /// A request took so long from its timer to its thread. Falls faster than it rises: to be early costs a processor.
    fn learn(&self, took: Duration) {
        let (lead, took) = (self.get(), took.min(MOST));
        let next = match took.checked_sub(lead) {
            Some(more) => lead + more / 16,
            None => lead - (lead - took) / 4,
        };
        self.0.store(next.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_never_goes_on_before_it_is_due() {
        let lead = Lead::default();
        for early in [0, 50, 150] {
            let now = Instant::now();
            let due = now + Duration::from_micros(early);
            lead.arrive(now - Duration::from_secs(1), due);
            assert!(Instant::now() >= due);
        }
    }

    #[test]
    fn lead_rises_to_what_threads_take_and_no_further_and_falls_again() {
        let lead = Lead::default();
        let after = |took| {
            (0..200).for_each(|_| lead.learn(took));
            lead.get()
        };
        let near = |is: Duration, to: Duration| is.abs_diff(to) < Duration::from_micros(1);
        assert!(near(
            after(Duration::from_micros(60)),
            Duration::from_micros(60)
        ));
        assert!(near(after(Duration::from_secs(1)), MOST));
        assert!(near(after(Duration::ZERO), Duration::ZERO));
    }
}
