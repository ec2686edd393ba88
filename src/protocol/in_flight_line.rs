//! A line of `inflight`: a request that is not answered.
//!
//! The rules of a line are text, since rules are above this layer. The server lends them from its own copy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::line::{BadLine, NO_RULES};
use super::op::Op;
use crate::units::duration::parse_duration;

/// A request that is not answered. Prints as `OP SECTOR COUNT AGE RULES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightLine<'a> {
    /// Its kind.
    pub op: Op,
    /// Its first sector.
    pub sector: u64,
    /// How many sectors it touches.
    pub count: u64,
    /// The time since it arrived, or since its I/O began; shown to a tenth of a millisecond.
    pub age: Duration,
    /// The rules that it waits for, as shown: [`NO_RULES`] without any.
    pub rules: Cow<'a, str>,
}

impl InFlightLine<'_> {
    /// The rules that it waits for; None while it is served or waits for a thread.
    pub fn waits_for(&self) -> Option<&str> {
        Some(&*self.rules).filter(|rules| *rules != NO_RULES)
    }
}

impl fmt::Display for InFlightLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.age.as_secs_f64() * 1000.0;
        let Self {
            op,
            sector,
            count,
            rules,
            ..
        } = self;
        write!(f, "{op} {sector} {count} {age:.1}ms {rules}")
    }
}

impl FromStr for InFlightLine<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = line.splitn(5, ' ');
            Some(Self {
                op: Op::named(words.next()?)?,
                sector: words.next()?.parse().ok()?,
                count: words.next()?.parse().ok()?,
                age: parse_duration(words.next()?)?,
                rules: words.next()?.to_owned().into(),
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `inflight`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_line_is_parsed_as_it_is_printed() {
        for text in [
            "read 2048 8 0.0ms -",
            "write 0 1 1500.3ms hang op=write tag=a; slow",
            "flush 0 0 60000.0ms hang",
        ] {
            let line: InFlightLine<'_> = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
            assert_eq!(line.waits_for().is_none(), text.ends_with('-'));
        }
        for bad in ["", "read 1 2 3ms", "erase 1 2 3ms -", "read 1 2 3 -"] {
            assert!(bad.parse::<InFlightLine<'_>>().is_err(), "{bad}");
        }
    }
}
