//! How long requests took, from their arrival to their answer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use histogram::{AtomicHistogram, Histogram};

use super::thread_slot::add;
use crate::protocol::{LatencyFigure, OpCounter};

/// A bucket is at most a sixteenth wide of what it counts.
const GROUPING_POWER: u8 = 4;
/// In nanoseconds, up to 18 minutes; what takes longer counts as that.
const MAX_VALUE_POWER: u8 = 40;
const LONGEST: u64 = (1 << MAX_VALUE_POWER) - 1;

/// Latencies. Recording one takes no lock and allocates nothing.
pub(in crate::disk) struct Latency {
    buckets: AtomicHistogram,
    sum: AtomicU64,
    longest: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        let buckets = AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER);
        Self {
            buckets: buckets.expect("the powers fit together"),
            sum: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Counts an answer that took `time`. No other thread does if it `is_own`.
    pub(in crate::disk) fn record(&self, time: Duration, is_own: bool) {
        let nanos = u64::try_from(time.as_nanos()).map_or(LONGEST, |nanos| nanos.min(LONGEST));
        // Cannot fail: the value is in range.
        let _ = self.buckets.increment(nanos);
        add(&self.sum, nanos, is_own);
        // Most answers are not the slowest so far, and need not write.
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = Figures::of([self].into_iter());
        f.debug_map().entries(figures.values()).finish()
    }
}

/// Latencies that were recorded apart, added up to be shown.
#[derive(Default)]
pub(in crate::disk) struct Figures {
    buckets: Option<Histogram>,
    sum: u64,
    longest: u64,
}

impl Figures {
    pub(in crate::disk) fn of<'a>(all: impl Iterator<Item = &'a Latency>) -> Self {
        let mut figures = Self::default();
        for latency in all {
            let buckets = latency.buckets.load();
            figures.buckets = match figures.buckets {
                // Cannot fail: both have the same powers.
                Some(others) => others.wrapping_add(&buckets).ok(),
                None => Some(buckets),
            };
            figures.sum += latency.sum.load(Ordering::Relaxed);
            figures.longest = figures.longest.max(latency.longest.load(Ordering::Relaxed));
        }
        figures
    }

    /// How many answers there were, and all figures of their latencies, in the order of `stats`.
    pub(in crate::disk) fn values(&self) -> impl Iterator<Item = (OpCounter, u64)> {
        let figure = |figure| (OpCounter::Latency(figure), self.figure(figure));
        let answered = (OpCounter::Answered, self.answered());
        [answered].into_iter().chain(LatencyFigure::ALL.map(figure))
    }

    /// How many answers there were.
    pub(in crate::disk) fn answered(&self) -> u64 {
        let buckets = self.buckets.as_ref();
        buckets.map_or(0, |buckets| buckets.as_slice().iter().sum())
    }

    /// A figure in nanoseconds. A percentile is rounded up to the end of its bucket.
    pub(in crate::disk) fn figure(&self, figure: LatencyFigure) -> u64 {
        match figure {
            LatencyFigure::P50 => self.quantile(0.5),
            LatencyFigure::P90 => self.quantile(0.9),
            LatencyFigure::P99 => self.quantile(0.99),
            LatencyFigure::P999 => self.quantile(0.999),
            LatencyFigure::Max => self.longest,
            LatencyFigure::Sum => self.sum,
        }
    }

    fn quantile(&self, quantile: f64) -> u64 {
        let buckets = self.buckets.as_ref();
        let bucket = buckets.and_then(|all| all.quantile_bucket(quantile).ok().flatten());
        bucket.map_or(0, |bucket| bucket.end().min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_quantiles_are_right_to_a_sixteenth_and_the_longest_to_the_nanosecond() {
        let shards = [Latency::default(), Latency::default()];
        for micros in 1..=1000 {
            shards[micros as usize % 2].record(Duration::from_micros(micros), false);
        }
        let figures = Figures::of(shards.iter());
        let named = |(counter, value): (OpCounter, u64)| (counter.name(), value);
        let figures: Vec<_> = figures.values().map(named).collect();
        assert_eq!(figures[0], ("answered", 1000));
        for ((name, found), exact) in figures[1..]
            .iter()
            .zip([500_000, 900_000, 990_000, 999_000])
        {
            assert!((exact..=exact * 17 / 16).contains(found), "{name}: {found}");
        }
        let rest = [
            ("latency_ns_max", 1_000_000),
            ("latency_ns_sum", 500_500_000),
        ];
        assert_eq!(figures[5..], rest);
    }

    #[test]
    fn latencies_without_requests_are_zero_and_too_long_ones_are_the_longest() {
        let latency = Latency::default();
        let figures = || Figures::of([&latency].into_iter());
        assert!(figures().values().all(|(_, nanos)| nanos == 0));
        latency.record(Duration::from_secs(1 << 40), true);
        assert_eq!(figures().figure(LatencyFigure::P50), LONGEST);
    }
}
