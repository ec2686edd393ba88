//! The three documented modes: short names for common rules.

use std::time::Duration;

use super::{Action, DelayTime, Op, Ops, Rule, Spelling};
use crate::protocol::Errno;
use crate::units::listed;

/// How long `slow` waits before the I/O, in milliseconds.
pub const SLOW_FAULT_MS: u64 = 50;

listed! {
    /// A documented mode. In the order of the documents.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// Reads fail with EIO before any I/O.
        EioRead,
        /// Writes, and write zeroes, fail with EIO before any I/O.
        EioWrite,
        /// Reads, writes and write zeroes wait [`SLOW_FAULT_MS`] before the I/O.
        Slow,
    }
}

impl Mode {
    /// The word that arms it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EioRead => "eio_read",
            Self::EioWrite => "eio_write",
            Self::Slow => "slow",
        }
    }

    /// The mode called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The rule that it is short for.
    pub fn rule(self) -> Rule {
        let slow = Duration::from_millis(SLOW_FAULT_MS);
        let (action, ops): (_, &[Op]) = match self {
            Self::EioRead => (Action::Error(Errno::EIO), &[Op::Read]),
            Self::EioWrite => (Action::Error(Errno::EIO), &[Op::Write, Op::Zero]),
            Self::Slow => (
                Action::Delay(DelayTime::fixed(slow)),
                &[Op::Read, Op::Write, Op::Zero],
            ),
        };
        Rule {
            ops: Ops::of(ops),
            spelling: Spelling { as_mode: true },
            ..Rule::new(action)
        }
    }

    /// The mode that does what `rule` does, whatever else the rule selects.
    pub fn of(rule: &Rule) -> Option<Self> {
        let same = |plain: &Rule| plain.action == rule.action && plain.ops == rule.ops;
        Self::ALL.into_iter().find(|mode| same(&mode.rule()))
    }

    /// `eio_read, eio_write, slow`: what error messages offer.
    pub fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}
