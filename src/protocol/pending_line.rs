//! A line of `pending`: a request that was answered and is not durable.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::line::BadLine;
use super::op::Op;
use crate::units::duration::parse_duration;

/// A request that was answered and is not durable. Prints as `NUMBER OP SECTOR COUNT AGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingLine {
    /// Its number on the disk: later requests have larger ones.
    pub number: u64,
    /// Its kind.
    pub op: Op,
    /// Its first sector.
    pub sector: u64,
    /// How many sectors it touches.
    pub count: u64,
    /// The time since it was answered; shown to a tenth of a millisecond.
    pub age: Duration,
}

impl fmt::Display for PendingLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.age.as_secs_f64() * 1000.0;
        let Self {
            number,
            op,
            sector,
            count,
            ..
        } = self;
        write!(f, "{number} {op} {sector} {count} {age:.1}ms")
    }
}

impl FromStr for PendingLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = line.split(' ');
            let parsed = Self {
                number: words.next()?.parse().ok()?,
                op: Op::named(words.next()?)?,
                sector: words.next()?.parse().ok()?,
                count: words.next()?.parse().ok()?,
                age: parse_duration(words.next()?)?,
            };
            words.next().is_none().then_some(parsed)
        };
        parse().ok_or_else(|| BadLine::new("a line of `pending`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_line_is_parsed_as_it_is_printed() {
        for text in ["1 write 8 8 1.5ms", "7 discard 0 614400 99.0ms"] {
            let line: PendingLine = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in [
            "",
            "1 write 8 8",
            "1 erase 8 8 1.5ms",
            "1 write 8 8 1.5ms x",
        ] {
            assert!(bad.parse::<PendingLine>().is_err(), "{bad}");
        }
    }
}
