//! How rules have a request served: corrupted, torn, misdirected, stale.

use std::sync::Arc;

use crate::disk::device::Disk;
use crate::fault::{Armed, Decision, FiredChange, IoRange, Op, Outcome, Then};
use crate::protocol::names::SECTOR;
use crate::protocol::{Effect, Errno};

/// The effects of rules on a request while it is served; none by default.
#[derive(Default)]
pub(super) struct Applied {
    /// How many bytes away it is served.
    shift: i64,
    /// A read ends after this many bytes, if not before.
    longest: Option<u64>,
    /// A write ends after this many bytes.
    pub(super) torn: Option<(u64, Then, Arc<Armed>)>,
    /// What happens to its data, in this order.
    pub(super) changes: Vec<FiredChange>,
}

/// What was done of a request that is about to be answered.
#[derive(Clone, Copy)]
pub(super) enum Done<'a> {
    /// Nothing, by this rule.
    Lost(&'a Arc<Armed>),
    /// What rules left of it.
    Served(&'a Applied),
}

impl Applied {
    /// What `outcome` does to the request. EIO when it would be served outside of the disk.
    pub(super) fn new(disk: &Disk, range: IoRange, outcome: Outcome) -> Result<Self, Errno> {
        if outcome.decision.is_none() && outcome.changes.is_empty() {
            return Ok(Self::default());
        }
        let torn = match outcome.decision {
            Some((Decision::Tear(keep, then), rule)) => {
                disk.counters.of(range.op).acted_on([Effect::Torn]);
                Some((keep.saturating_mul(SECTOR), then, rule))
            }
            // These are answered without being served, or served as they are.
            Some((Decision::Error(_) | Decision::Lose | Decision::Cut(_), _)) | None => None,
        };
        let rules = outcome.changes.iter().map(|fired| &fired.rule.rule);
        let effects = rules.filter_map(|rule| rule.action.kind().effect());
        disk.counters.of(range.op).acted_on(effects);
        let shifts = outcome.changes.iter().map(|fired| fired.change.shift());
        let applied = Self {
            shift: shifts.fold(0, i64::saturating_add),
            longest: None,
            torn,
            changes: outcome.changes,
        };
        match applied.shift {
            0 => Ok(applied),
            _ => applied.on_disk(disk, range),
        }
    }

    /// The same for a request that is served elsewhere. A read ends where it would have ended, at the
    /// disk's end.
    fn on_disk(self, disk: &Disk, range: IoRange) -> Result<Self, Errno> {
        let size = disk.size().map_err(|error| Errno::of(&error))?;
        let longest = (range.op == Op::Read).then(|| size.saturating_sub(range.offset));
        let len = range.len.min(longest.unwrap_or(u64::MAX));
        let place = range.offset.checked_add_signed(self.shift);
        let is_on_disk = place.is_some_and(|place| place.saturating_add(len) <= size);
        match len == 0 || is_on_disk {
            true => Ok(Self { longest, ..self }),
            false => Err(Errno::EIO),
        }
    }

    /// Where a request for `offset` is served.
    pub(super) fn place(&self, offset: u64) -> u64 {
        offset.saturating_add_signed(self.shift)
    }

    /// How many bytes are read when `len` are asked for.
    pub(super) fn len(&self, len: u32) -> u32 {
        let longest = self.longest.unwrap_or(u64::MAX);
        u64::from(len).min(longest) as u32
    }

    /// How many of `len` bytes are written.
    pub(super) fn kept(&self, len: u64) -> u64 {
        let keep = self.torn.as_ref().map(|(keep, ..)| *keep);
        len.min(keep.unwrap_or(u64::MAX))
    }

    /// The first rule that has it served elsewhere.
    pub(super) fn misdirection(&self) -> Option<&Arc<Armed>> {
        let mut changes = self.changes.iter();
        let first = changes.find(|fired| fired.change.shift() != 0)?;
        Some(&first.rule)
    }

    /// The error that a request ends with although it was served.
    pub(super) fn afterwards(&self) -> Option<Errno> {
        match self.torn {
            Some((_, Then::Error(errno), _)) => Some(errno),
            Some((_, Then::Ok, _)) | None => None,
        }
    }
}
