//! What the trace shows of one run: how many requests of each kind, which of them have turns, and which met the fault.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{SweptFault, TAG};
use super::point::Request;
use crate::protocol::{Answered, Note, Op, TraceLine};
use crate::units::counted;

/// Requests of a run whose place among the others is known. More of them are counted alone.
const MOST: usize = 1 << 20;

/// By how much the times of a trace may be wrong: they are rounded to the microsecond.
const ROUNDED: Duration = Duration::from_micros(2);

/// What was seen of a run.
#[derive(Clone, Debug)]
pub struct Observed {
    fault: SweptFault,
    /// The mark behind which requests have turns, until it was set.
    awaited: Option<String>,
    /// Requests with a turn, but for the mark.
    before: u64,
    /// Of each operation, by its number.
    made: [u64; Op::ALL.len()],
    /// Those with a turn.
    matching: u64,
    seen: Vec<Seen>,
    lost: u64,
}

/// A request with a turn.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) request: Request,
    pub(super) arrived: Duration,
    pub(super) answered: Duration,
    is_faulted: bool,
}

impl Observed {
    /// Nothing yet. Requests before the mark `from` have no turn.
    pub fn new(fault: &SweptFault, from: Option<&str>) -> Self {
        Self {
            fault: fault.clone(),
            awaited: from.map(str::to_owned),
            before: 0,
            made: [0; Op::ALL.len()],
            matching: 0,
            seen: Vec::new(),
            lost: 0,
        }
    }

    /// Notes a line of the trace.
    pub fn note(&mut self, line: &TraceLine<'_>) {
        match line {
            TraceLine::Answered(request) => self.answered(request),
            TraceLine::Noted(noted) => match &noted.note {
                Note::Mark(text) if self.awaited.as_ref() == Some(text) => self.awaited = None,
                Note::Mark(_) | Note::Disk(_) => {}
            },
            TraceLine::Lost(lines) => self.lost += lines,
        }
    }

    fn answered(&mut self, request: &Answered<'_>) {
        let is_faulted = request.rules.contains(TAG);
        // A synchronous write is a flush, too: the rule knows.
        let has_turn = is_faulted || self.fault.concerns(request);
        if self.awaited.is_some() {
            self.before += u64::from(has_turn);
            if !is_faulted {
                return;
            }
        }
        self.made[request.op as usize] += 1;
        if !has_turn {
            return;
        }
        self.matching += 1;
        if self.seen.len() < MOST || is_faulted {
            self.seen.push(Seen {
                request: Request::of(request),
                arrived: request.time.saturating_sub(request.latency),
                answered: request.time,
                is_faulted,
            });
        }
    }

    /// Whether the mark was not set.
    pub(super) fn misses_the_mark(&self) -> bool {
        self.awaited.is_some()
    }

    /// How many requests with a turn came before the mark.
    pub(super) fn before(&self) -> u64 {
        self.before
    }

    /// How many came after it.
    pub(super) fn matching(&self) -> u64 {
        self.matching
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a request that met the fault was answered.
    pub fn shows_the_fault(&self) -> bool {
        self.faulted().next().is_some()
    }

    /// Those that met the fault.
    pub(super) fn faulted(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| seen.is_faulted)
    }

    /// The places, from 1, that the request may have had in the order of arrival: that of requests that overlap in time
    /// is not known.
    pub(super) fn places(&self, of: &Seen) -> RangeInclusive<u64> {
        let was_over = |other: &&Seen| other.answered + ROUNDED < of.arrived;
        let had_come = |other: &&Seen| other.arrived <= of.answered + ROUNDED;
        let least = 1 + self.seen.iter().filter(was_over).count() as u64;
        let most = self.seen.iter().filter(had_come).count() as u64;
        least..=most.max(least)
    }

    /// All of them in the order in which they arrived.
    pub(super) fn in_order(mut self) -> Vec<Request> {
        self.seen.sort_by_key(|seen| seen.arrived);
        self.seen.into_iter().map(|seen| seen.request).collect()
    }

    /// `12 reads and no write or flush`: what was made, where none of it had a turn.
    pub(super) fn made(&self) -> String {
        let made = |op: &Op| self.made[*op as usize];
        let some = Op::ALL.iter().filter(|op| made(op) > 0);
        let some: Vec<_> = some.map(|op| several(made(op), *op)).collect();
        let none: Vec<_> = Op::ALL
            .iter()
            .filter(|op| made(op) == 0 && self.fault.ops().any(|name| name == op.name()))
            .map(|op| op.name())
            .collect();
        match (some.is_empty(), none.is_empty()) {
            (true, _) => "no request".to_owned(),
            (false, true) => some.join(", "),
            (false, false) => format!("{} and no {}", some.join(", "), none.join(" or ")),
        }
    }
}

fn several(number: u64, op: Op) -> String {
    match op {
        Op::Flush if number > 1 => format!("{number} flushes"),
        Op::Zero if number > 1 => format!("{number} zeroes"),
        Op::Read | Op::Write | Op::Flush | Op::Discard | Op::Zero => counted(number, op.name()),
    }
}
