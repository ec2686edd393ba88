//! The line of `ctl/error`: the latest write that a control file rejected.

use std::fmt;
use std::str::FromStr;

use super::ControlPath;
use super::line::BadLine;

/// A rejected write. Prints as `NUMBER FILE: REASON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Counts the rejected writes of a mount, from 1.
    pub number: u64,
    /// The file that was written to.
    pub file: ControlPath,
    /// Why, in one line.
    pub reason: String,
}

impl Rejection {
    /// A rejection whose `reason` has its control characters written as in Rust, so that it is one line.
    pub fn new(number: u64, file: ControlPath, reason: &str) -> Self {
        let mut line = String::with_capacity(reason.len());
        for c in reason.chars() {
            match c.is_control() {
                true => line.extend(c.escape_default()),
                false => line.push(c),
            }
        }
        Self {
            number,
            file,
            reason: line,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.number, self.file, self.reason)
    }
}

impl FromStr for Rejection {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let (number, rest) = line.split_once(' ')?;
            let (file, reason) = rest.split_once(": ")?;
            Some(Self {
                number: number.parse().ok()?,
                file: file.parse().ok()?,
                reason: reason.to_owned(),
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `ctl/error`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ControlFile, DiskFile};

    #[test]
    fn rejection_line_is_parsed_as_it_is_printed() {
        for file in [
            ControlPath::Mount(ControlFile::Attach),
            ControlPath::Disk("vda".into(), DiskFile::Faults),
        ] {
            let rejection = Rejection::new(7, file, "line 1: a `b`: no\nmore\x1b");
            assert_eq!(rejection.to_string().parse(), Ok(rejection.clone()));
            assert!(rejection.to_string().ends_with(r"no\nmore\u{1b}"));
        }
        for bad in ["", "1", "1 attach", "x attach: y", "1 bogus: y"] {
            assert!(bad.parse::<Rejection>().is_err(), "{bad}");
        }
    }
}
