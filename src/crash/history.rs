//! What a log says happened: requests in the order of their completion, and what each step makes durable.

use std::ops::{Range, RangeInclusive};

use crate::storage::write_log::{END_MARK, Entry, Flags, LogEntry, Order, WriteLog};

/// A request that changed the disk. Its number is its place in the order of completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The sectors that it changed.
    pub sectors: Range<u64>,
    /// Where its data are in the log, in bytes; None for a discard, whose sectors read as zeros.
    pub data_at: Option<u64>,
    /// It was durable when it was answered.
    pub fua: bool,
    /// When it arrived and was answered, if the log says so.
    pub order: Option<Order>,
}

/// An entry of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What was answered before it is durable from here on, this entry's own request apart.
    pub is_flush: bool,
    /// The number of its request.
    pub request: Option<usize>,
    /// The text of a mark.
    pub mark: Option<String>,
    /// When it arrived and was answered, if the log says so.
    pub order: Option<Order>,
}

/// Marks between which there are no points.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMark {
    /// The log does not have it.
    #[error("there is no mark `{mark}` in the log ({})", known_marks(known))]
    Unknown {
        /// What was asked for.
        mark: String,
        /// The marks of the log.
        known: Vec<String>,
    },
    /// The end comes before the beginning.
    #[error("the mark to end at comes before the mark to begin at")]
    Backwards,
}

fn known_marks(marks: &[String]) -> String {
    /// Marks that an error names.
    const NAMED: usize = 20;
    let named = marks.iter().take(NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match marks.len() {
        0 => "it has none".into(),
        1..=NAMED => format!("its marks: {named}"),
        all => format!("its marks: {named} and {} more", all - NAMED),
    }
}

/// All steps of a log. Step `n` is entry `n + 1`.
#[derive(Debug, Default)]
pub struct History {
    /// In the order of the log.
    pub steps: Vec<Step>,
    /// In the order of their completion.
    pub requests: Vec<Request>,
}

impl History {
    /// What happened according to `log`.
    pub fn of(log: &WriteLog) -> Self {
        let mut history = Self::default();
        for entry in log.entries() {
            let step = history.step(entry);
            history.steps.push(step);
        }
        history
    }

    fn step(&mut self, entry: &LogEntry) -> Step {
        match &entry.entry {
            // Nobody's promise: it only says that the log is whole.
            Entry::Mark(text) if text == END_MARK.as_bytes() => Step::default(),
            Entry::Mark(text) => Step {
                mark: Some(String::from_utf8_lossy(text).into_owned()),
                ..Step::default()
            },
            Entry::Request {
                sector,
                sectors,
                flags,
                order,
            } => {
                let request = (*sectors > 0).then(|| Request {
                    sectors: *sector..sector + sectors,
                    data_at: (!flags.has(Flags::DISCARD)).then_some(entry.data_at),
                    fua: flags.has(Flags::FUA),
                    order: *order,
                });
                Step {
                    is_flush: flags.has(Flags::FLUSH),
                    request: request.map(|request| self.add(request)),
                    mark: None,
                    order: *order,
                }
            }
        }
    }

    fn add(&mut self, request: Request) -> usize {
        self.requests.push(request);
        self.requests.len() - 1
    }

    /// The first sector after all that were changed.
    pub fn end(&self) -> u64 {
        let ends = self.requests.iter().map(|request| request.sectors.end);
        ends.max().unwrap_or(0)
    }

    /// The number of entries up to the mark `text`, itself included.
    pub fn point_of(&self, text: &str) -> Option<usize> {
        let is_it = |step: &Step| step.mark.as_deref() == Some(text);
        self.steps.iter().position(is_it).map(|at| at + 1)
    }

    /// The points between the marks `from` and `to`: from the beginning without the first, to the end without the
    /// second.
    pub fn points(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<RangeInclusive<usize>, BadMark> {
        let point = |mark: &str| {
            let unknown = || {
                let marks = self.steps.iter().filter_map(|step| step.mark.clone());
                BadMark::Unknown {
                    mark: mark.to_owned(),
                    known: marks.collect(),
                }
            };
            self.point_of(mark).ok_or_else(unknown)
        };
        let first = from.map(point).transpose()?.unwrap_or(0);
        let last = to.map(point).transpose()?.unwrap_or(self.steps.len());
        match first <= last {
            true => Ok(first..=last),
            false => Err(BadMark::Backwards),
        }
    }

    /// The number of the last step among the first `point` that is a mark.
    pub fn mark_step(&self, point: usize) -> Option<usize> {
        let mut steps = self.steps[..point].iter();
        steps.rposition(|step| step.mark.is_some())
    }

    /// The last mark among the first `point` entries.
    pub fn mark_before(&self, point: usize) -> Option<&str> {
        self.steps[self.mark_step(point)?].mark.as_deref()
    }
}

/// The requests that may or may not survive a power cut at a place in the history.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    history: &'a History,
    /// How many entries have been passed.
    point: usize,
    /// Answered and not durable, in the order of completion.
    pending: Vec<usize>,
    /// Arrived and not answered.
    in_service: Vec<usize>,
    /// All requests whose arrival is known and not reached, the next one last.
    to_come: Vec<(u64, usize)>,
}

impl<'a> Cursor<'a> {
    /// Before the first entry.
    pub fn start(history: &'a History) -> Self {
        let requests = history.requests.iter().enumerate();
        let arrival = |(number, request): (usize, &Request)| Some((request.order?.arrival, number));
        let mut to_come: Vec<_> = requests.filter_map(arrival).collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            history,
            point: 0,
            pending: Vec::new(),
            in_service: Vec::new(),
            to_come,
        }
    }

    /// How many entries have been passed.
    pub fn point(&self) -> usize {
        self.point
    }

    /// The next entry.
    pub fn next_step(&self) -> Option<&'a Step> {
        self.history.steps.get(self.point)
    }

    /// Passes the next entry, and hands each request that becomes durable to `durable`, oldest first.
    /// False at the end.
    pub fn advance(&mut self, mut durable: impl FnMut(usize)) -> bool {
        let Some(step) = self.next_step() else {
            return false;
        };
        self.point += 1;
        if step.is_flush {
            let requests = &self.history.requests;
            let is_covered = |request: &usize| covers(step.order, requests[*request].order);
            let (covered, left) = self.pending.drain(..).partition::<Vec<_>, _>(is_covered);
            self.pending = left;
            covered.into_iter().for_each(&mut durable);
        }
        if let Some(request) = step.request {
            self.in_service.retain(|other| *other != request);
            match self.history.requests[request].fua {
                true => durable(request),
                false => self.pending.push(request),
            }
        }
        if let Some(order) = step.order {
            self.arrive_until(order.answer, step.request);
        }
        true
    }

    fn arrive_until(&mut self, now: u64, answered: Option<usize>) {
        while let Some((_, request)) = self.to_come.pop_if(|(arrival, _)| *arrival < now) {
            // A request that was answered before this entry is in the log before it.
            if answered.is_none_or(|answered| request > answered) {
                self.in_service.push(request);
            }
        }
    }

    /// What a cut here may keep or lose: what is pending, then what has arrived and is not answered.
    pub fn candidates(&self) -> Vec<usize> {
        [&self.pending[..], &self.in_service].concat()
    }
}

/// Whether a flush with the order `flush` makes a write with the order `write` durable, which stands
/// before it in the log.
fn covers(flush: Option<Order>, write: Option<Order>) -> bool {
    match (flush, write) {
        (Some(flush), Some(write)) => write.answer < flush.arrival,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(sector: u64, fua: bool, order: Option<(u64, u64)>) -> Request {
        Request {
            sectors: sector..sector + 1,
            data_at: Some(0),
            fua,
            order: order.map(|(arrival, answer)| Order { arrival, answer }),
        }
    }

    /// A write, or a flush, with its arrival and its answer.
    type Entry = (Option<Request>, Option<(u64, u64)>);

    fn history(steps: &[Entry]) -> History {
        let mut history = History::default();
        for (request, order) in steps {
            let request = request.clone().map(|request| history.add(request));
            history.steps.push(Step {
                is_flush: request.is_none(),
                request,
                mark: None,
                order: order.map(|(arrival, answer)| Order { arrival, answer }),
            });
        }
        history
    }

    /// What is durable and what may survive or not, after each entry.
    fn states(history: &History) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut cursor = Cursor::start(history);
        let (mut all, mut durable) = (Vec::new(), Vec::new());
        while cursor.advance(|request| durable.push(request)) {
            all.push((durable.clone(), cursor.candidates()));
        }
        all
    }

    #[test]
    fn flush_makes_durable_what_stands_before_it_and_fua_its_own_request_alone() {
        let history = history(&[
            (Some(write(0, false, None)), None),
            (Some(write(8, true, None)), None),
            (None, None),
            (Some(write(16, false, None)), None),
        ]);
        assert_eq!(
            states(&history),
            [
                (vec![], vec![0]),
                (vec![1], vec![0]),
                (vec![1, 0], vec![]),
                (vec![1, 0], vec![2]),
            ]
        );
    }

    #[test]
    fn flush_does_not_cover_a_write_that_was_answered_after_its_arrival() {
        let (first, second) = ((1, 4), (5, 8));
        let history = history(&[
            (Some(write(0, false, Some(first))), Some(first)),
            (Some(write(8, false, Some(second))), Some(second)),
            // It arrived before the second was answered.
            (None, Some((6, 9))),
        ]);
        assert_eq!(states(&history)[2], (vec![0], vec![1]));
    }

    #[test]
    fn request_that_has_arrived_and_is_not_answered_is_a_candidate() {
        let (first, second) = ((1, 4), (2, 8));
        let history = history(&[
            (Some(write(0, false, Some(first))), Some(first)),
            (Some(write(8, false, Some(second))), Some(second)),
        ]);
        assert_eq!(
            states(&history),
            [(vec![], vec![0, 1]), (vec![], vec![0, 1])]
        );
    }
}
