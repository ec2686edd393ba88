//! The kinds of request that a disk serves, by the names that rules, control files and counters use.

use std::fmt;
use std::str::FromStr;

use super::line::BadLine;
use crate::units::listed;

listed! {
    /// A kind of request, as a block device knows it. In the order in which they are counted and shown.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[repr(u8)]
    pub enum Op {
        /// Reads a range.
        Read,
        /// Writes a range.
        Write,
        /// Makes everything written so far durable (fsync, fdatasync).
        Flush,
        /// Gives a range back to the host (TRIM, punch hole); it reads as zeros afterwards.
        Discard,
        /// Writes zeros without sending them (write zeroes, zero range).
        Zero,
    }
}

impl Op {
    /// The kind called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::Zero => "zero",
        }
    }

    /// Whether it changes the disk.
    pub fn is_change(self) -> bool {
        match self {
            Self::Write | Self::Discard | Self::Zero => true,
            Self::Read | Self::Flush => false,
        }
    }

    /// Whether its requests have a largest length: the kernel cuts longer ones.
    pub fn is_limited(self) -> bool {
        match self {
            Self::Read | Self::Write => true,
            Self::Flush | Self::Discard | Self::Zero => false,
        }
    }

    /// Whether its requests have a range of bytes.
    pub fn has_range(self) -> bool {
        match self {
            Self::Read | Self::Write | Self::Discard | Self::Zero => true,
            Self::Flush => false,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Op {
    type Err = BadLine;

    fn from_str(name: &str) -> Result<Self, BadLine> {
        Self::named(name).ok_or_else(|| BadLine::new("a kind of request", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op_name_is_parsed_as_it_is_printed() {
        for op in Op::ALL {
            assert_eq!(op.to_string().parse(), Ok(op));
        }
        assert!("erase".parse::<Op>().is_err());
    }
}
