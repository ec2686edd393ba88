//! Requests that are served otherwise than they were asked: corrupted, torn, misdirected, stale.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::Request;
use super::request::owned;
use crate::disk::Disk;
use crate::fault::{Armed, Change, Decision, FiredChange, How, IoRange, Op, Outcome, Random, Then};
use crate::protocol::names::SECTOR;
use crate::protocol::{Effect, Errno};

/// What is done to a request while it is served; nothing by default.
#[derive(Default)]
pub(in crate::disk) struct Plan {
    /// How many bytes away it is served.
    shift: i64,
    /// A read ends after so many bytes, if not before.
    longest: Option<u64>,
    /// After so many bytes a write ends.
    torn: Option<(u64, Then, Arc<Armed>)>,
    /// What happens to its data, in this order.
    changes: Vec<FiredChange>,
}

/// What was done of a request that is about to be acknowledged.
pub(in crate::disk) enum Done<'a> {
    /// Nothing, by this rule.
    Lost(&'a Request<'a>, Arc<Armed>),
    /// What the plan left of it.
    Served(&'a Plan),
}

impl Plan {
    /// What `outcome` does to the request. EIO when it would be served outside of the disk.
    pub(in crate::disk) fn new(disk: &Disk, ask: IoRange, outcome: Outcome) -> Result<Self, Errno> {
        let torn = match outcome.decision {
            Some((Decision::Tear(keep, then), rule)) => {
                disk.counters.of(ask.op).acted_on([Effect::Torn]);
                Some((keep.saturating_mul(SECTOR), then, rule))
            }
            // These are answered without being served.
            Some((Decision::Error(_) | Decision::Lose, _)) | None => None,
        };
        let rules = outcome.changes.iter().map(|fired| &fired.rule.rule);
        let effects = rules.filter_map(|rule| rule.action.kind().effect());
        disk.counters.of(ask.op).acted_on(effects);
        let shifts = outcome.changes.iter().map(|fired| fired.change.shift());
        let plan = Self {
            shift: shifts.fold(0, i64::saturating_add),
            longest: None,
            torn,
            changes: outcome.changes,
        };
        match plan.shift {
            0 => Ok(plan),
            _ => plan.on_disk(disk, ask),
        }
    }

    /// The plan of a request that is served elsewhere. A read ends where it would have ended, at
    /// the disk's end.
    fn on_disk(self, disk: &Disk, ask: IoRange) -> Result<Self, Errno> {
        let size = disk.size().map_err(|error| Errno::of(&error))?;
        let longest = (ask.op == Op::Read).then(|| size.saturating_sub(ask.offset));
        let len = ask.len.min(longest.unwrap_or(u64::MAX));
        let place = ask.offset.checked_add_signed(self.shift);
        let is_on_disk = place.is_some_and(|place| place.saturating_add(len) <= size);
        match len == 0 || is_on_disk {
            true => Ok(Self { longest, ..self }),
            false => Err(Errno::EIO),
        }
    }

    /// Where a request for `offset` is served.
    pub(in crate::disk) fn place(&self, offset: u64) -> u64 {
        offset.saturating_add_signed(self.shift)
    }

    /// How many bytes are read when `len` are asked for.
    pub(in crate::disk) fn len(&self, len: u32) -> u32 {
        let longest = self.longest.unwrap_or(u64::MAX);
        u64::from(len).min(longest) as u32
    }

    /// How many of so many bytes are written.
    fn kept(&self, len: u64) -> u64 {
        let keep = self.torn.as_ref().map(|(keep, ..)| *keep);
        len.min(keep.unwrap_or(u64::MAX))
    }

    /// The first rule that has it served elsewhere.
    fn misdirection(&self) -> Option<&Arc<Armed>> {
        let mut changes = self.changes.iter();
        let first = changes.find(|fired| fired.change.shift() != 0)?;
        Some(&first.rule)
    }

    /// The error that follows what was done well.
    pub(in crate::disk) fn afterwards(&self) -> Option<Errno> {
        match self.torn {
            Some((_, Then::Error(errno), _)) => Some(errno),
            _ => None,
        }
    }
}

impl Disk {
    /// Writes `data`, or what the plan makes of it, and notes where the image is then not what the
    /// client believes.
    pub(in crate::disk) fn write(&self, data: &[u8], offset: u64, plan: &Plan) -> io::Result<()> {
        let (place, kept) = (plan.place(offset), plan.kept(data.len() as u64));
        let mut changed = Cow::Borrowed(data);
        for FiredChange {
            change,
            random,
            rule,
        } in &plan.changes
        {
            match change {
                Change::Corrupt(how) => {
                    let mut own = owned(changed)?;
                    corrupt(&mut own, &pieces(rule, offset, data.len()), *how, random);
                    changed = Cow::Owned(own);
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
        self.snapshots
            .preserve(&*self.image, &self.delays, place, kept)?;
        let (done, result) = self.image.write_part(&changed[..kept as usize], place);
        self.questions.learn_end(place + done as u64);
        self.note_corrupted(offset, done, plan);
        if result.is_ok() {
            self.note_unwritten(offset, data.len() as u64, plan);
        }
        if let Some(rule) = plan.misdirection() {
            self.damage.record(place, done as u64, "overwritten", rule);
        }
        result
    }

    /// Notes what is wrong with the bytes that have reached the image.
    fn note_corrupted(&self, offset: u64, done: usize, plan: &Plan) {
        for FiredChange { change, rule, .. } in &plan.changes {
            match change {
                Change::Corrupt(_) => {
                    for (from, to) in pieces(rule, offset, done) {
                        let place = plan.place(offset) + from as u64;
                        let len = (to - from) as u64;
                        self.damage.record(place, len, "corrupted", rule);
                    }
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
    }

    /// Notes what has not been written where the client believes it to be.
    fn note_unwritten(&self, offset: u64, len: u64, plan: &Plan) {
        if let Some((_, _, rule)) = &plan.torn {
            let kept = plan.kept(len);
            let place = plan.place(offset) + kept;
            self.damage.record(place, len - kept, "torn", rule);
        }
        if let Some(rule) = plan.misdirection() {
            self.damage.record(offset, len, "not-written", rule);
        }
    }

    /// Notes, of a request that is acknowledged, what was not done, or, of one that fails by the rule
    /// `late` after all, what was.
    pub(in crate::disk) fn note_damage(
        &self,
        ask: IoRange,
        done: &Done<'_>,
        late: Option<&Arc<Armed>>,
    ) {
        let on_disk = || {
            // Not asked of the host: this may be a loop thread, and storage may hang.
            ask.len.min(self.known_size().saturating_sub(ask.offset))
        };
        match (done, late) {
            (Done::Lost(request, rule), None) => {
                let len = match request.may_grow() {
                    true => ask.len,
                    false => on_disk(),
                };
                self.damage.record(ask.offset, len, "lost", rule);
            }
            (Done::Served(plan), Some(rule)) => {
                let (what, len) = match ask.op {
                    Op::Write => ("written", plan.kept(ask.len)),
                    Op::Discard => ("discarded", on_disk()),
                    Op::Zero => ("zeroed", on_disk()),
                    Op::Read | Op::Flush => return,
                };
                self.damage.record(plan.place(ask.offset), len, what, rule);
            }
            _ => {}
        }
    }

    /// Changes what a read found, for its reader alone.
    pub(in crate::disk) fn change_read(
        &self,
        data: &mut [u8],
        offset: u64,
        plan: &Plan,
    ) -> io::Result<()> {
        let is_stale = |fired: &FiredChange| fired.change == Change::Stale;
        // A stale rule goes back to the image, past what other rules made of it.
        let image = match plan.changes.iter().any(is_stale) {
            true => owned(Cow::Borrowed(&*data))?,
            false => Vec::new(),
        };
        for FiredChange {
            change,
            random,
            rule,
        } in &plan.changes
        {
            let pieces = pieces(rule, offset, data.len());
            match change {
                Change::Corrupt(how) => corrupt(data, &pieces, *how, random),
                Change::Stale => {
                    for (from, to) in pieces {
                        data[from..to].copy_from_slice(&image[from..to]);
                        let place = plan.place(offset) + from as u64;
                        self.snapshots.overlay(rule, &mut data[from..to], place);
                    }
                }
                Change::Misdirect(_) => {}
            }
        }
        Ok(())
    }
}

/// The pieces of a request that a rule is for, counted from its start: none of them twice.
fn pieces(rule: &Armed, offset: u64, len: usize) -> Vec<(usize, usize)> {
    let pieces = rule.ranges.within(offset, offset + len as u64);
    pieces
        .map(|(from, to)| ((from - offset) as usize, (to - offset) as usize))
        .collect()
}

/// Corrupts these pieces of a request's data.
fn corrupt(data: &mut [u8], pieces: &[(usize, usize)], how: How, random: &Random) {
    let mut random = random.clone();
    match how {
        How::Flip(bits) => flip(data, pieces, bits, &mut random),
        How::Zero => fill(data, pieces, |piece| piece.fill(0)),
        How::Fill(byte) => fill(data, pieces, |piece| piece.fill(byte)),
        How::Random => fill(data, pieces, |piece| {
            for part in piece.chunks_mut(8) {
                part.copy_from_slice(&random.draw().to_le_bytes()[..part.len()]);
            }
        }),
    }
}

fn fill(data: &mut [u8], pieces: &[(usize, usize)], mut fill: impl FnMut(&mut [u8])) {
    for (from, to) in pieces {
        fill(&mut data[*from..*to]);
    }
}

/// Flips `bits` different bits of all pieces together, or all bits if there are fewer.
fn flip(data: &mut [u8], pieces: &[(usize, usize)], bits: u32, random: &mut Random) {
    let all = pieces.iter().map(|(from, to)| (to - from) as u64 * 8).sum();
    let mut chosen = std::collections::BTreeSet::new();
    while (chosen.len() as u64) < u64::from(bits).min(all) {
        chosen.insert(random.below(all));
    }
    let (mut pieces, mut before) = (pieces.iter(), 0);
    let mut piece = pieces.next();
    for bit in chosen {
        while let Some((from, to)) = piece
            && bit >= before + (to - from) as u64 * 8
        {
            before += (to - from) as u64 * 8;
            piece = pieces.next();
        }
        if let Some((from, _)) = piece {
            let bit = bit - before;
            data[from + (bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}
