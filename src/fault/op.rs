//! Sets of operations.

use std::fmt;

pub use crate::protocol::Op;

/// A set of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ops(u8);

impl Ops {
    /// The set of these operations.
    pub const fn of(ops: &[Op]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < ops.len() {
            bits |= 1 << ops[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// All operations.
    pub const ALL: Self = Self::of(&Op::ALL);

    /// The operations that are in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The operations of the set.
    pub fn iter(self) -> impl Iterator<Item = Op> {
        Op::ALL.into_iter().filter(move |op| self.contains(*op))
    }

    /// Whether the set has no operation.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `op` is in the set.
    pub const fn contains(self, op: Op) -> bool {
        self.0 & (1 << op as u8) != 0
    }
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        for (place, op) in self.iter().enumerate() {
            let between = if place > 0 { "," } else { "" };
            write!(f, "{between}{op}")?;
        }
        Ok(())
    }
}
