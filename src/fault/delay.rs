//! How long a `delay` is: a time, a range of times, or a distribution, of which each request draws its own.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::Random;
use crate::units::duration::show_duration;

/// The longest time in a rule, and the longest delay that is drawn: a year.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The times that a `delay` may take. Prints as the value of `by=`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DelayTime {
    /// From the first to the second, each as likely as any other.
    Range(Duration, Duration),
    /// Normally distributed, cut off at 0.
    Normal {
        /// The mean of the distribution.
        mean: Duration,
        /// Its standard deviation.
        deviation: Duration,
    },
    /// With a normally distributed logarithm.
    LogNormal {
        /// The mean of the delay itself; above 0.
        mean: Duration,
        /// The standard deviation of the delay itself.
        deviation: Duration,
    },
    /// Pareto's: few delays are long, and those are very long.
    Pareto {
        /// The shortest.
        shortest: Duration,
        /// The exponent, above 0: the smaller, the more are long.
        shape: Real,
    },
    /// As measured: this percentage of all takes at most this time. Percentages rise, times do not fall.
    Percentiles(Vec<(Real, Duration)>),
}

/// A finite number, 0 or more.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Real(f64);

impl Real {
    /// The number `value`. None for a negative or an infinite one.
    pub fn new(value: f64) -> Option<Self> {
        // Adding 0 makes -0 the 0 that it is equal to.
        (value.is_finite() && value >= 0.0).then_some(Self(value + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

// Never NaN, never -0: equal numbers have equal bits.
impl Eq for Real {}
impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DelayTime {
    /// Always this time.
    pub fn fixed(time: Duration) -> Self {
        Self::Range(time, time)
    }

    /// The time, if it is always the same.
    pub fn always(&self) -> Option<Duration> {
        match self {
            Self::Range(min, max) => (min == max).then_some(*min),
            Self::Normal { .. } | Self::LogNormal { .. } | Self::Pareto { .. } => None,
            Self::Percentiles(_) => None,
        }
    }

    /// Whether it is a distribution, which is of what a client measures; if not, no request is served sooner.
    pub fn is_distribution(&self) -> bool {
        match self {
            Self::Range(..) => false,
            Self::Normal { .. } | Self::LogNormal { .. } | Self::Pareto { .. } => true,
            Self::Percentiles(_) => true,
        }
    }

    /// Draws a time: at most [`LONGEST`]. That of a distribution is rounded to the microsecond, so that it is the same
    /// on every machine.
    pub fn draw(&self, random: &mut Random) -> Duration {
        let seconds = match self {
            Self::Range(min, max) => {
                let spread = (*max - *min).as_nanos() as u64;
                return *min + Duration::from_nanos(random.below(spread.saturating_add(1)));
            }
            Self::Normal { mean, deviation } => {
                mean.as_secs_f64() + deviation.as_secs_f64() * random.normal()
            }
            Self::LogNormal { mean, deviation } => {
                let mean = mean.as_secs_f64();
                let variance = (deviation.as_secs_f64() / mean).powi(2).ln_1p();
                (mean.ln() - variance / 2.0 + variance.sqrt() * random.normal()).exp()
            }
            Self::Pareto { shortest, shape } => {
                shortest.as_secs_f64() / (1.0 - random.unit()).powf(1.0 / shape.get())
            }
            Self::Percentiles(points) => quantile(points, random.unit()),
        };
        // Not below 0, and LONGEST for what is no number.
        let micros = (seconds.max(0.0) * 1e6)
            .round()
            .min(LONGEST.as_micros() as f64);
        Duration::from_micros(micros as u64)
    }
}

/// The time in seconds that a share `unit` of all delays, from 0 to below 1, does not exceed. Between two points its
/// logarithm rises with that of the share that takes longer: as a tail does. Close to a point it hardly rises, so that
/// the percentiles of few draws are close to the points.
fn quantile(points: &[(Real, Duration)], unit: f64) -> f64 {
    let at = |(percent, _): &(Real, Duration)| percent.get() / 100.0;
    let above = points.partition_point(|point| at(point) <= unit);
    let (before, after) = match (above.checked_sub(1), points.get(above)) {
        (Some(before), Some(after)) => (&points[before], after),
        (None, Some(only)) => return only.1.as_secs_f64(),
        (before, None) => return before.map_or(0.0, |last| points[last].1.as_secs_f64()),
    };
    let (from, to) = (at(before), at(after));
    let way = match to < 1.0 {
        true => ((1.0 - from) / (1.0 - unit)).ln() / ((1.0 - from) / (1.0 - to)).ln(),
        // Nothing is longer than the longest.
        false => (unit - from) / (to - from),
    };
    // Its first and second derivatives are 0 at both ends.
    let way = way.powi(3) * (way * (way * 6.0 - 15.0) + 10.0);
    // A time may be 0, which has no logarithm.
    let log = |time: Duration| (time.as_secs_f64() + 1e-6).ln();
    let (from, to) = (log(before.1), log(after.1));
    (from + (to - from) * way).exp() - 1e-6
}

impl fmt::Display for DelayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |time: &Duration| show_duration(*time);
        match self {
            Self::Range(min, max) if min == max => f.write_str(&show(min)),
            Self::Range(min, max) => write!(f, "{}..{}", show(min), show(max)),
            Self::Normal { mean, deviation } => {
                write!(f, "normal:{},{}", show(mean), show(deviation))
            }
            Self::LogNormal { mean, deviation } => {
                write!(f, "lognormal:{},{}", show(mean), show(deviation))
            }
            Self::Pareto { shortest, shape } => write!(f, "pareto:{},{shape}", show(shortest)),
            Self::Percentiles(points) => {
                let points = points.iter();
                let points = points.map(|(percent, time)| format!("p{percent}:{}", show(time)));
                f.write_str(&points.collect::<Vec<_>>().join(","))
            }
        }
    }
}
