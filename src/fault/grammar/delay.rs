//! The value of `by=` of a `delay`: a time, a range of times, or a distribution.

use std::time::Duration;

use super::error::GrammarError;
use super::line::{Line, Pair};
use crate::fault::{DelayTime, Real};
use crate::units::nearest;

/// What `by=` may be beside a time and a range of times.
const SHAPES: [(&str, &str); 3] = [
    (
        "normal",
        "a mean and a standard deviation, as in normal:10ms,2ms",
    ),
    (
        "lognormal",
        "a mean above 0 and a standard deviation, as in lognormal:10ms,2ms",
    ),
    (
        "pareto",
        "the shortest time and a shape, a number above 0, as in pareto:1ms,1.5",
    ),
];
const PERCENTILES: &str = "percentages from 0 to 100 that rise, each with a time that does not fall, as in p50:1ms,p99:20ms,p99.9:500ms";

impl Line<'_> {
    /// The times of a delay.
    pub(super) fn delay(&self, pair: Pair<'_>) -> Result<DelayTime, GrammarError> {
        match pair.value.split_once(':') {
            None => self.range_of_times(pair),
            Some((name, values)) if SHAPES.iter().any(|(shape, _)| *shape == name) => {
                self.shape(pair, name, values)
            }
            Some((name, _)) if is_percentile(name) => self.percentiles(pair),
            Some((name, _)) => {
                let near = nearest(name, SHAPES.iter().map(|(shape, _)| *shape));
                let expected = format!(
                    "a time, a range as in 20ms..80ms, or one of normal:, lognormal:, pareto: and p50:{near}"
                );
                Err(self.bad(pair, &expected))
            }
        }
    }

    fn range_of_times(&self, by: Pair<'_>) -> Result<DelayTime, GrammarError> {
        let (min, max) = by.value.split_once("..").unwrap_or((by.value, by.value));
        let min = self.duration_in(by, min)?;
        let max = self.duration_in(by, max)?;
        match min <= max {
            true => Ok(DelayTime::Range(min, max)),
            false => Err(self.bad(by, "a range from the shortest to the longest")),
        }
    }

    fn shape(&self, by: Pair<'_>, name: &str, values: &str) -> Result<DelayTime, GrammarError> {
        let mut shapes = SHAPES.iter();
        let expected = shapes.find(|(shape, _)| *shape == name);
        let bad = || self.bad(by, expected.map_or("", |(_, expected)| *expected));
        let (first, second) = values.split_once(',').ok_or_else(bad)?;
        let first = self.duration_in(by, first)?;
        if name == "pareto" {
            let shape = real(second).filter(|shape| shape.get() > 0.0);
            return Ok(DelayTime::Pareto {
                shortest: first,
                shape: shape.ok_or_else(bad)?,
            });
        }
        let deviation = self.duration_in(by, second)?;
        match name {
            "normal" => Ok(DelayTime::Normal {
                mean: first,
                deviation,
            }),
            _ if first.is_zero() => Err(bad()),
            _ => Ok(DelayTime::LogNormal {
                mean: first,
                deviation,
            }),
        }
    }

    fn percentiles(&self, by: Pair<'_>) -> Result<DelayTime, GrammarError> {
        let mut points: Vec<(Real, Duration)> = Vec::new();
        for point in by.value.split(',') {
            let bad = || self.bad(by, PERCENTILES);
            let (name, time) = point.split_once(':').ok_or_else(bad)?;
            let percent = name.strip_prefix('p').and_then(real);
            let percent = percent.filter(|percent| percent.get() <= 100.0);
            let percent = percent.ok_or_else(bad)?;
            let time = self.duration_in(by, time)?;
            if points
                .last()
                .is_some_and(|last| last.0 >= percent || last.1 > time)
            {
                return Err(bad());
            }
            points.push((percent, time));
        }
        Ok(DelayTime::Percentiles(points))
    }
}

/// Whether `name` is `p` and a number: a percentile, perhaps a wrong one.
fn is_percentile(name: &str) -> bool {
    let number = name.strip_prefix('p');
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// A plain number, as in 1.5.
fn real(text: &str) -> Option<Real> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain
        .then(|| text.parse().ok().and_then(Real::new))
        .flatten()
}
