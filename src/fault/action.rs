//! What a rule does to a request.

use std::time::Duration;

use super::{Op, Ops};
use crate::protocol::Errno;

/// What a rule does to a request that it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The request fails with this error number, and the image is not touched.
    Error(Errno),
    /// The request waits before it is served: this long, or anything between the two.
    Delay(Duration, Duration),
    /// The request is held until somebody releases it, or for so long, and then goes on.
    Hang(Duration, Then),
    /// The data are not what they should be. For the reader only, or on the image for ever when
    /// they are written.
    Corrupt(How),
    /// The request is acknowledged and never done.
    Lose,
    /// Only so many sectors of a write reach the image.
    Tear(u64, Then),
    /// The request is served so many sectors away.
    Misdirect(i64),
    /// A read finds what was there when the rule was armed.
    Stale,
}

/// How a request goes on that was held, or half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// As if nothing had been.
    Ok,
    /// With this error.
    Error(Errno),
}

/// In which way data are corrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// So many bits are flipped.
    Flip(u32),
    /// All bytes are zero.
    Zero,
    /// All bytes are random.
    Random,
    /// All bytes are this one.
    Fill(u8),
}

/// How long a request is held unless it was said.
pub const HANG_MAX: Duration = Duration::from_secs(60);

impl Action {
    /// The words for them, in the order of the contract.
    pub const NAMES: [&'static str; 8] = [
        "error",
        "delay",
        "hang",
        "corrupt",
        "lose",
        "tear",
        "misdirect",
        "stale",
    ];

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::Delay(..) => "delay",
            Self::Hang(..) => "hang",
            Self::Corrupt(_) => "corrupt",
            Self::Lose => "lose",
            Self::Tear(..) => "tear",
            Self::Misdirect(_) => "misdirect",
            Self::Stale => "stale",
        }
    }

    /// The word for what it does to a request that is then answered; none for an error, which is
    /// known by its number.
    pub fn effect(&self) -> Option<&'static str> {
        Some(match self {
            Self::Error(_) => return None,
            Self::Delay(..) => "delayed",
            Self::Hang(..) => "held",
            Self::Corrupt(_) => "corrupted",
            Self::Lose => "lost",
            Self::Tear(..) => "torn",
            Self::Misdirect(_) => "misdirected",
            Self::Stale => "stale",
        })
    }

    /// The kinds of request that it can act on; and does, unless the rule says `op=`.
    pub fn ops(&self) -> Ops {
        match self {
            Self::Error(_) | Self::Delay(..) | Self::Hang(..) => Ops::ALL,
            Self::Corrupt(_) | Self::Misdirect(_) => Ops::of(&[Op::Read, Op::Write]),
            Self::Lose => Ops::of(&[Op::Write, Op::Flush, Op::Discard, Op::Zero]),
            Self::Tear(..) => Ops::of(&[Op::Write]),
            Self::Stale => Ops::of(&[Op::Read]),
        }
    }
}
