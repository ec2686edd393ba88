//! Requests that are served otherwise than they were asked: corrupted, torn, misdirected, stale.

use std::borrow::Cow;
use std::sync::Arc;

use super::Disk;
use crate::fault::{Action, Armed, Ask, Decision, Errno, Fired, How, Outcome, Random, Then};
use crate::names::SECTOR;

/// What is done to a request while it is served; nothing by default.
#[derive(Default)]
pub(super) struct Plan {
    /// How many bytes away it is served.
    shift: i64,
    /// After so many bytes a write ends.
    torn: Option<(u64, Then, Arc<Armed>)>,
    /// What happens to its data, in this order.
    changes: Vec<(Fired, Arc<Armed>)>,
}

impl Plan {
    /// What `outcome` does to the request. EIO when it would be served outside of the disk.
    pub(super) fn new(disk: &Disk, ask: Ask, outcome: Outcome) -> Result<Self, Errno> {
        let torn = match outcome.decision {
            Some((Decision::Tear(keep, then), rule)) => {
                disk.counters.of(ask.op).not_done(true);
                Some((keep.saturating_mul(SECTOR), then, rule))
            }
            _ => None,
        };
        let mut shift = 0_i64;
        for (_, rule) in &outcome.changes {
            disk.counters.of(ask.op).changed(&rule.rule.action);
            if let Action::Misdirect(by) = rule.rule.action {
                shift = shift.saturating_add(by.saturating_mul(SECTOR as i64));
            }
        }
        let plan = Self {
            shift,
            torn,
            changes: outcome.changes,
        };
        if shift == 0 {
            return Ok(plan);
        }
        let size = disk.size().map_err(|error| Errno::of(&error))?;
        let place = ask.offset.checked_add_signed(shift);
        match place.is_some_and(|place| place.saturating_add(ask.len) <= size) {
            true => Ok(plan),
            false => Err(Errno::EIO),
        }
    }

    /// Where a request for `offset` is served.
    pub(super) fn place(&self, offset: u64) -> u64 {
        offset.saturating_add_signed(self.shift)
    }

    /// The error that follows what was done well.
    pub(super) fn afterwards(&self) -> Option<Errno> {
        match self.torn {
            Some((_, Then::Error(errno), _)) => Some(errno),
            _ => None,
        }
    }
}

impl Disk {
    /// Writes `data`, or what the plan makes of it, and notes where the image is not what the client
    /// believes.
    pub(super) fn write(&self, data: &[u8], offset: u64, plan: &Plan) -> std::io::Result<()> {
        let mut data = Cow::Borrowed(data);
        for (fired, rule) in &plan.changes {
            if let Action::Corrupt(how) = rule.rule.action {
                let mut random = fired.random.clone();
                for (from, to) in overlaps(rule, offset, data.len()) {
                    corrupt(&mut data.to_mut()[from..to], how, &mut random);
                    let place = plan.place(offset) + from as u64;
                    self.damage
                        .record(place, (to - from) as u64, "corrupted", rule);
                }
            }
        }
        let whole = data.len() as u64;
        let mut kept = whole;
        if let Some((keep, _, rule)) = &plan.torn {
            kept = whole.min(*keep);
            self.damage
                .record(plan.place(offset) + kept, whole - kept, "torn", rule);
        }
        let place = plan.place(offset);
        if let Some((_, rule)) = plan.changes.iter().find(|(_, rule)| is_misdirection(rule)) {
            self.damage.record(offset, whole, "not-written", rule);
            self.damage.record(place, kept, "overwritten", rule);
        }
        self.snapshots.preserve(&*self.image, place, kept)?;
        self.image.write_at(&data[..kept as usize], place)
    }

    /// Changes what a read found, for its reader alone.
    pub(super) fn change_read(&self, data: &mut [u8], offset: u64, plan: &Plan) {
        if plan.changes.is_empty() {
            return;
        }
        // A stale rule goes back to the image, past what other rules made of it.
        let image = data.to_vec();
        for (fired, rule) in &plan.changes {
            let mut random = fired.random.clone();
            for (from, to) in overlaps(rule, offset, data.len()) {
                match rule.rule.action {
                    Action::Corrupt(how) => corrupt(&mut data[from..to], how, &mut random),
                    Action::Stale => {
                        data[from..to].copy_from_slice(&image[from..to]);
                        self.snapshots
                            .overlay(rule, data, plan.place(offset), from, to);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn is_misdirection(rule: &Armed) -> bool {
    matches!(rule.rule.action, Action::Misdirect(_))
}

/// The pieces of a request that a rule is for, counted from its start: all of it without `at=`.
fn overlaps(rule: &Armed, offset: u64, len: usize) -> Vec<(usize, usize)> {
    if rule.rule.at.is_empty() {
        return vec![(0, len)];
    }
    let end = offset + len as u64;
    let pieces = rule.rule.at.iter().map(|at| {
        let (start, behind) = at.bytes();
        (start.max(offset), behind.min(end))
    });
    let pieces = pieces.filter(|(from, to)| from < to);
    pieces
        .map(|(from, to)| ((from - offset) as usize, (to - offset) as usize))
        .collect()
}

fn corrupt(data: &mut [u8], how: How, random: &mut Random) {
    match how {
        How::Zero => data.fill(0),
        How::Fill(byte) => data.fill(byte),
        How::Random => {
            for piece in data.chunks_mut(8) {
                piece.copy_from_slice(&random.draw().to_le_bytes()[..piece.len()]);
            }
        }
        How::Flip(bits) => flip(data, bits, random),
    }
}

/// Flips `bits` different bits, or all if there are fewer.
fn flip(data: &mut [u8], bits: u32, random: &mut Random) {
    let all = data.len() as u64 * 8;
    let mut flipped = std::collections::HashSet::new();
    while (flipped.len() as u64) < u64::from(bits).min(all) {
        let bit = random.below(all);
        if flipped.insert(bit) {
            data[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}
