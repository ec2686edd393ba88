//! A power cut as one disk has it: candidates, survivors, and the state afterwards.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::error::PowerError;
use super::state::LEAVING;
use super::survivors::{Fate, Survivors, garbage};
use crate::disk::cache::entry::{Entry, StoredChange};
use crate::disk::device::Disk;
use crate::disk::path::Request;
use crate::disk::path::held::GoOn;
use crate::protocol::{CutReport, DiskEvent, Errno, PowerCut};
use crate::storage::Image;

/// A request that may survive: one that is pending, or one that was not answered.
enum Candidate {
    Pending(Arc<Entry>, Vec<Range<u64>>),
    Unanswered(StoredChange),
}

impl Candidate {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Pending(entry, _) => Some(entry.number()),
            Self::Unanswered(_) => None,
        }
    }

    fn change(&self) -> &StoredChange {
        match self {
            Self::Pending(entry, _) => &entry.change,
            Self::Unanswered(change) => change,
        }
    }

    /// The pieces of which a part still matters.
    fn pieces(&self, tear: Option<u64>) -> Vec<Range<u64>> {
        let mut pieces = self.change().pieces(tear);
        pieces.retain(|piece| !self.live(piece).is_empty());
        pieces
    }

    /// The parts of a piece that still matter.
    fn live(&self, piece: &Range<u64>) -> Vec<Range<u64>> {
        match self {
            Self::Pending(_, live) => {
                let parts = live
                    .iter()
                    .map(|live| live.start.max(piece.start)..live.end.min(piece.end));
                parts.filter(|part| !part.is_empty()).collect()
            }
            Self::Unanswered(_) => vec![piece.clone()],
        }
    }
}

/// How many pieces have survived, and how many have not.
#[derive(Default)]
struct Tally {
    kept: u64,
    lost: u64,
}

impl Disk {
    /// The gate is closed, and no request is inside: what survives is written, all else is forgotten, and from
    /// then on the power is off.
    pub(super) fn settle_cut(
        self: &Arc<Self>,
        cut: &PowerCut,
        seed: u64,
        rule: Option<&str>,
    ) -> Result<(), PowerError> {
        // Whoever has the turn now is stuck in storage that does not answer.
        let turn = self.ranges.lock_all_within(LEAVING);
        let mut held = self.delays.take(self.owner);
        let mut parked = self.power.gate.take_parked();
        held.sort_by_key(|held| held.arrived);
        let waiting = changes(held.iter_mut().map(|held| &mut held.request));
        let parking = changes(parked.iter_mut().map(|parked| &mut parked.request));
        let unanswered: Vec<_> = waiting.chain(parking).collect();
        let pending = self.image.candidates().into_iter();
        let pending = pending.map(|(entry, live)| Candidate::Pending(entry, live));
        let candidates = pending.chain(unanswered.into_iter().map(Candidate::Unanswered));
        let mut tally = Tally::default();
        let written = match turn {
            Some(_) => self.keep_survivors(candidates, cut, seed, &mut tally),
            None => self.lose(candidates, cut.tear, &mut tally),
        };
        self.image.forget();
        let report = self.note_cut(&tally, seed);
        self.log.end("the power was cut");
        let _ = self.size();
        self.mains.has_changed(self);
        self.tell(DiskEvent::Cut(report, rule.map(str::to_owned)));
        let late = self.power.gate.turn_off();
        for held in held {
            held.go_on(self.delays.pool(), GoOn::PowerOff);
        }
        self.go_on_with(parked);
        self.go_on_with(late);
        drop(turn);
        written.map_err(|error| PowerError::Storage(self.id().to_owned(), Errno::of(&error)))
    }

    fn note_cut(&self, tally: &Tally, seed: u64) -> CutReport {
        let mut off = self.power.off.lock();
        off.cuts += 1;
        let report = CutReport {
            kept: tally.kept,
            lost: tally.lost,
            seed,
            cut: off.cuts,
        };
        off.report = Some(report);
        report
    }

    fn keep_survivors(
        &self,
        candidates: impl Iterator<Item = Candidate>,
        cut: &PowerCut,
        seed: u64,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let mut survivors = Survivors::new(cut, seed, self.id());
        let mut result = Ok(());
        for candidate in candidates {
            // Rules that show old data keep what is lost, and what is overwritten.
            let span = candidate.change().span();
            let _ = self.snapshots.preserve(span.start, span.end - span.start);
            let pieces = candidate.pieces(cut.tear);
            for (piece, fate) in survivors.next(candidate.number(), &pieces) {
                let live = candidate.live(&piece).into_iter();
                let met = live.map(|part| self.meet_fate(candidate.change(), &part, fate));
                let met = met.fold(Ok(()), Result::and);
                // What cannot be written has not survived.
                match (fate, &met) {
                    (Fate::Kept, Ok(())) => tally.kept += 1,
                    (Fate::Kept, Err(_)) | (Fate::Lost | Fate::Garbage(_), _) => tally.lost += 1,
                }
                result = result.and(met);
            }
        }
        match tally.kept {
            0 => result,
            _ => result.and_then(|()| self.image.below.flush(false)),
        }
    }

    /// Loses everything, whatever the cut asks for: the storage does not answer.
    fn lose(
        &self,
        candidates: impl Iterator<Item = Candidate>,
        tear: Option<u64>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        for candidate in candidates {
            tally.lost += candidate.pieces(tear).len() as u64;
            for part in candidate.live(&candidate.change().span()) {
                let len = part.end - part.start;
                self.damage.record_cut(part.start, len, "lost");
            }
        }
        Err(io::Error::from_raw_os_error(libc::EIO))
    }

    fn meet_fate(&self, change: &StoredChange, part: &Range<u64>, fate: Fate) -> io::Result<()> {
        let below = &self.image.below;
        let len = part.end - part.start;
        match fate {
            Fate::Kept => {
                let kept = change.apply(below, part);
                if kept.is_err() {
                    self.damage.record_cut(part.start, len, "lost");
                }
                kept
            }
            // Zeros may be as long as the disk, and have no bytes that could be half written.
            Fate::Garbage(_) if change.data().is_none() => self.meet_fate(change, part, Fate::Lost),
            Fate::Lost => {
                self.damage.record_cut(part.start, len, "lost");
                Ok(())
            }
            Fate::Garbage(seed) => {
                self.damage.record_cut(part.start, len, "garbage");
                let size = below.size()?;
                let end = part.end.min(size);
                let len = end.saturating_sub(part.start);
                below.write_at(&garbage(seed, len), part.start)
            }
        }
    }
}

/// Takes the change out of each request that waits.
fn changes<'a>(
    requests: impl Iterator<Item = &'a mut Request<'static>>,
) -> impl Iterator<Item = StoredChange> {
    let taken = requests.map(|request| {
        let nothing = Request::Flush { data_only: true };
        std::mem::replace(request, nothing)
    });
    // A request without a change is nothing that may survive.
    taken.filter_map(|request| request.into_change().ok().flatten())
}
