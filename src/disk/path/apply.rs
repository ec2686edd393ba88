//! How rules have a request served: corrupted, lost in part, torn, misdirected, stale.

use std::sync::Arc;

use super::plan::{Plan, Segment};
use super::request::Request;
use crate::disk::device::Disk;
use crate::fault::{Armed, Decision, FiredChange, Healer, IoRange, Loss, Op, Outcome, Then};
use crate::protocol::names::SECTOR;
use crate::protocol::{Effect, Errno};

/// The effects of rules on a request while it is served; none by default.
#[derive(Default)]
pub(super) struct Applied {
    /// Where its parts are served. None: all of it in its place.
    plan: Option<Plan>,
    /// The parts that are not served, although the client believes so.
    pub(super) lost: Vec<Loss>,
    /// A read ends after this many bytes, if not before.
    longest: Option<u64>,
    /// A write ends after this many bytes.
    pub(super) torn: Option<(u64, Then, Arc<Armed>)>,
    /// What happens to its data, in this order.
    pub(super) changes: Vec<FiredChange>,
    /// Bad sectors that it heals where it writes them.
    healers: Vec<Healer>,
}

/// What was done of a request that is about to be answered.
#[derive(Clone, Copy)]
pub(super) enum Done<'a> {
    /// Nothing, by these rules.
    Lost(&'a [Loss]),
    /// What rules left of it.
    Served(&'a Applied),
}

impl Applied {
    /// What `outcome` does to the request. EIO when a read, or all of a change, would be served outside of the disk.
    pub(super) fn new(
        disk: &Disk,
        request: &Request<'_>,
        range: IoRange,
        outcome: Outcome,
    ) -> Result<Self, Errno> {
        let Outcome {
            decision,
            lost,
            changes,
            healers,
            ..
        } = outcome;
        if decision.is_none() && changes.is_empty() && lost.is_empty() {
            return Ok(Self {
                healers,
                ..Self::default()
            });
        }
        let counters = disk.counters.of(range.op);
        let torn = match decision {
            Some((Decision::Tear(keep, then), rule)) => {
                counters.acted_on([Effect::Torn]);
                Some((keep.saturating_mul(SECTOR), then, rule))
            }
            // These are answered without being served, or served as they are.
            Some((Decision::Error(_) | Decision::Lose | Decision::Cut(_), _)) | None => None,
        };
        let applied = Self {
            torn,
            healers,
            ..Self::default()
        };
        if request.is_indivisible() {
            return Ok(applied);
        }
        let losing = lost.iter().map(|loss| &loss.rule);
        let rules = losing.chain(changes.iter().map(|fired| &fired.rule));
        counters.acted_on(rules.filter_map(|rule| rule.rule.action.kind().effect()));
        Self {
            lost,
            changes,
            ..applied
        }
        .planned(disk, range)
    }

    /// The same with the places of its parts. A read ends where it would have ended, at the disk's end.
    fn planned(self, disk: &Disk, mut range: IoRange) -> Result<Self, Errno> {
        let is_moved = self.changes.iter().any(|fired| fired.change.shift() != 0);
        if !is_moved && self.lost.is_empty() {
            return Ok(self);
        }
        let size = match is_moved {
            true => disk.size().map_err(|error| Errno::of(&error))?,
            false => u64::MAX,
        };
        let longest = (range.op == Op::Read).then(|| size.saturating_sub(range.offset));
        range.len = range.len.min(longest.unwrap_or(u64::MAX));
        let plan = Plan::of(range, size, &self.lost, &self.changes);
        let is_failed = range.op == Op::Read || plan.served.is_empty();
        match plan.leaves_the_disk && is_failed {
            true => Err(Errno::EIO),
            false => Ok(Self {
                plan: Some(plan),
                longest,
                ..self
            }),
        }
    }

    /// Whether all of the request is served in its place, as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.changes.is_empty() && self.torn.is_none() && self.plan.is_none()
    }

    /// Whether it is served in parts.
    pub(super) fn is_in_parts(&self) -> bool {
        self.plan.is_some()
    }

    /// The parts of a request that would be served but for a tear.
    pub(super) fn segments(&self, offset: u64, len: u64) -> impl Iterator<Item = Segment> {
        let whole = Segment {
            from: offset,
            to: offset.saturating_add(len),
            shift: 0,
        };
        let whole = self.plan.is_none().then_some(whole);
        let parts = self.plan.iter().flat_map(|plan| &plan.served).copied();
        whole.into_iter().chain(parts)
    }

    /// The parts of a request that are served: of a change, those that reach the image.
    pub(super) fn served(&self, offset: u64, len: u64) -> impl Iterator<Item = Segment> {
        let end = offset.saturating_add(self.kept(len));
        let parts = self.segments(offset, len);
        parts.filter_map(move |segment| segment.within(offset, end))
    }

    /// The parts of a write that a rule has torn off.
    pub(super) fn torn_off(&self, offset: u64, len: u64) -> impl Iterator<Item = Segment> {
        let end = offset.saturating_add(self.kept(len));
        let parts = self.segments(offset, len);
        parts.filter_map(move |segment| segment.within(end, u64::MAX))
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

    /// Has the sectors heal that are written as a whole from `place` on, of `len` bytes.
    pub(super) fn heal(&self, place: u64, len: u64) {
        for healer in &self.healers {
            healer.written(place, place.saturating_add(len));
        }
    }

    /// The first rule that has the segment served elsewhere.
    pub(super) fn misdirection(&self, segment: Segment) -> Option<&Arc<Armed>> {
        if segment.shift == 0 {
            return None;
        }
        let moves = |fired: &&FiredChange| {
            fired.change.shift() != 0 && fired.pieces.overlap(segment.from, segment.to)
        };
        let first = self.changes.iter().find(moves)?;
        Some(&first.rule)
    }

    /// The error that a request ends with although it was served.
    pub(super) fn afterwards(&self) -> Option<Errno> {
        let is_cut_off = self.plan.as_ref().is_some_and(|plan| plan.leaves_the_disk);
        match self.torn {
            _ if is_cut_off => Some(Errno::EIO),
            Some((_, Then::Error(errno), _)) => Some(errno),
            Some((_, Then::Ok, _)) | None => None,
        }
    }
}
