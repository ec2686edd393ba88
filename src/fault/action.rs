//! What a rule does to a request: the file that knows every action.
//!
//! [`Action`] is an action with its values, [`ActionKind`] the action alone, and [`Phase`] says when it
//! acts and what it does then. To add an action, begin with a variant of [`Action`] and one of
//! [`ActionKind`]: the compiler then names every place that has to know it.

use std::time::Duration;

use super::cut::{CutPoint, CutRule};
use super::keys::ActionKey;
use super::{DelayTime, Limit, Op, Ops};
use crate::protocol::names::SECTOR;
use crate::protocol::{Effect, Errno};
use crate::units::listed;

/// How long a request is held when the rule has no `max=`.
pub const HANG_MAX: Duration = Duration::from_secs(60);

/// What a rule does to a request that it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The request fails with this error number, and the image is not touched.
    Error(Errno),
    /// The request waits before it is served, for one of these times.
    Delay(DelayTime),
    /// The request is held until it is released, or until this time has passed. Then it goes on.
    Hang(Duration, Then),
    /// The data are changed: for the reader alone, or on the image when they are written.
    Corrupt(How),
    /// The request is acknowledged and never done.
    Lose,
    /// Only this many sectors of a write reach the image.
    Tear(u64, Then),
    /// The request is served this many sectors away.
    Misdirect(i64),
    /// A read finds what the sectors held when the rule was armed.
    Stale,
    /// The power goes off.
    Cut(CutRule),
    /// The request waits until it may pass.
    Limit(Limit),
}

listed! {
    /// An action without its values. In the order of the documents.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[allow(missing_docs)] // Those of `Action`.
    pub enum ActionKind {
        Error,
        Delay,
        Hang,
        Corrupt,
        Lose,
        Tear,
        Misdirect,
        Stale,
        Cut,
        Limit,
    }
}

/// How a request ends that was held, or done in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// As if no rule had acted.
    Ok,
    /// With this error.
    Error(Errno),
}

/// In which way data are corrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// This many bits are flipped.
    Flip(u32),
    /// All bytes are zero.
    Zero,
    /// All bytes are random.
    Random,
    /// All bytes are this one.
    Fill(u8),
}

/// When an action acts, and what it does then. A request goes through the phases in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the request is served, it waits.
    Wait(Pause),
    /// The outcome of the request is decided: the first rule that acts decides it.
    Decide(Decision),
    /// The data or the place of the request is changed while it is served: rules act in order.
    Change(Change),
}

/// How a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Until no more requests pass than the action says. It comes before all delays.
    Limit,
    /// For one of the times of the action. Such times add up.
    Delay,
    /// Until it is released, or until this time has passed. It comes after all delays.
    Hang(Duration, Then),
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It fails.
    Error(Errno),
    /// It is acknowledged, and the sectors of the rule are not done. The first rule that leaves nothing decides.
    Lose,
    /// This many sectors of it are done.
    Tear(u64, Then),
    /// The power goes off at this point of it. The rest of the cut is in the rule.
    Cut(CutPoint),
}

/// What is changed of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its data.
    Corrupt(How),
    /// Their place: the sectors of the rule are served this many sectors away.
    Misdirect(i64),
    /// A read finds old data.
    Stale,
}

impl Action {
    /// The action without its values.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Error(_) => ActionKind::Error,
            Self::Delay(_) => ActionKind::Delay,
            Self::Hang(..) => ActionKind::Hang,
            Self::Corrupt(_) => ActionKind::Corrupt,
            Self::Lose => ActionKind::Lose,
            Self::Tear(..) => ActionKind::Tear,
            Self::Misdirect(_) => ActionKind::Misdirect,
            Self::Stale => ActionKind::Stale,
            Self::Cut(_) => ActionKind::Cut,
            Self::Limit(_) => ActionKind::Limit,
        }
    }

    /// When it acts, and what it does then.
    pub fn phase(&self) -> Phase {
        match *self {
            Self::Cut(ref rule) => Phase::Decide(Decision::Cut(rule.point)),
            Self::Error(errno) => Phase::Decide(Decision::Error(errno)),
            Self::Limit(_) => Phase::Wait(Pause::Limit),
            Self::Delay(_) => Phase::Wait(Pause::Delay),
            Self::Hang(max, then) => Phase::Wait(Pause::Hang(max, then)),
            Self::Corrupt(how) => Phase::Change(Change::Corrupt(how)),
            Self::Lose => Phase::Decide(Decision::Lose),
            Self::Tear(keep, then) => Phase::Decide(Decision::Tear(keep, then)),
            Self::Misdirect(by) => Phase::Change(Change::Misdirect(by)),
            Self::Stale => Phase::Change(Change::Stale),
        }
    }

    /// How many bytes away it has a request served.
    pub fn shift(&self) -> i64 {
        match self.phase() {
            Phase::Change(change) => change.shift(),
            Phase::Wait(_) | Phase::Decide(_) => 0,
        }
    }

    /// The seed that it says itself, in the place of the selector.
    pub fn seed(&self) -> Option<u64> {
        match self {
            Self::Cut(rule) => rule.cut.seed,
            Self::Error(_) | Self::Delay(_) | Self::Hang(..) | Self::Corrupt(_) => None,
            Self::Lose | Self::Tear(..) | Self::Misdirect(_) | Self::Stale | Self::Limit(_) => None,
        }
    }

    /// Whether two equal actions do more than one.
    pub fn adds_up(&self) -> bool {
        match self {
            Self::Delay(_) | Self::Misdirect(_) | Self::Corrupt(How::Flip(_)) => true,
            Self::Corrupt(How::Zero | How::Random | How::Fill(_)) => false,
            Self::Error(_) | Self::Hang(..) | Self::Lose | Self::Tear(..) => false,
            Self::Stale | Self::Cut(_) | Self::Limit(_) => false,
        }
    }
}

impl ActionKind {
    /// The action called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// `error, delay, ...`: what error messages offer.
    pub fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The word that a rule begins with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Delay => "delay",
            Self::Hang => "hang",
            Self::Corrupt => "corrupt",
            Self::Lose => "lose",
            Self::Tear => "tear",
            Self::Misdirect => "misdirect",
            Self::Stale => "stale",
            Self::Cut => "cut",
            Self::Limit => "limit",
        }
    }

    /// The keys of its values. A selector of the same name cannot be given with it.
    pub fn keys(self) -> &'static [ActionKey] {
        match self {
            Self::Error => &[
                ActionKey::Errno,
                ActionKey::Heal,
                ActionKey::Tries,
                ActionKey::Spares,
            ],
            Self::Delay | Self::Misdirect => &[ActionKey::By],
            Self::Hang => &[ActionKey::Max, ActionKey::Then],
            Self::Corrupt => &[ActionKey::How, ActionKey::Bits, ActionKey::Byte],
            Self::Tear => &[ActionKey::Keep, ActionKey::Then],
            Self::Lose | Self::Stale => &[],
            Self::Limit => &[
                ActionKey::Rate,
                ActionKey::Iops,
                ActionKey::Burst,
                ActionKey::Lanes,
            ],
            Self::Cut => &[
                ActionKey::Point,
                ActionKey::Scope,
                ActionKey::Keep,
                ActionKey::P,
                ActionKey::Seed,
                ActionKey::Tear,
                ActionKey::Garbage,
            ],
        }
    }

    /// The operations that it can act on. It acts on all of them when the rule has no `op=`.
    pub fn ops(self) -> Ops {
        match self {
            Self::Error | Self::Delay | Self::Hang | Self::Cut | Self::Limit => Ops::ALL,
            Self::Corrupt => Ops::of(&[Op::Read, Op::Write]),
            Self::Misdirect => Ops::of(&[Op::Read, Op::Write, Op::Discard, Op::Zero]),
            Self::Lose => Ops::of(&[Op::Write, Op::Flush, Op::Discard, Op::Zero]),
            Self::Tear => Ops::of(&[Op::Write]),
            Self::Stale => Ops::of(&[Op::Read]),
        }
    }

    /// What a request counts as that it has acted on. None for an error, which counts as an injected
    /// error when it is answered.
    pub fn effect(self) -> Option<Effect> {
        match self {
            Self::Error => None,
            Self::Delay | Self::Limit => Some(Effect::Delayed),
            Self::Hang => Some(Effect::Held),
            Self::Corrupt => Some(Effect::Corrupted),
            Self::Lose => Some(Effect::Lost),
            Self::Tear => Some(Effect::Torn),
            Self::Misdirect => Some(Effect::Misdirected),
            Self::Stale => Some(Effect::Stale),
            Self::Cut => Some(Effect::Cut),
        }
    }
}

impl Phase {
    /// What is decided in it.
    pub fn decision(self) -> Option<Decision> {
        match self {
            Self::Decide(decision) => Some(decision),
            Self::Wait(_) | Self::Change(_) => None,
        }
    }
}

impl Decision {
    /// Whether nothing of the request is done.
    pub fn leaves_undone(self) -> bool {
        match self {
            Self::Error(_) | Self::Lose | Self::Cut(CutPoint::Before) => true,
            Self::Tear(..) | Self::Cut(CutPoint::After) => false,
        }
    }
}

impl Change {
    /// How many bytes away the request is served.
    pub fn shift(self) -> i64 {
        match self {
            Self::Misdirect(by) => by.saturating_mul(SECTOR as i64),
            Self::Corrupt(_) | Self::Stale => 0,
        }
    }
}
