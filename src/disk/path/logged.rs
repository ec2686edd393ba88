//! Requests that go into the write log of their disk.
//!
//! Without a cache, changes that overlap are made one after the other while there is a log: so the log has them in
//! the order in which they reach the image, and what it has is read back from there. With a cache the lock of the
//! pending requests gives the order.

use std::ops::Range;
use std::sync::Arc;

use super::apply::Applied;
use super::context::RequestContext;
use super::plan::Segment;
use super::request::{Reply, Request};
use crate::disk::cache::entry::{Content, StoredChange};
use crate::disk::device::Disk;
use crate::disk::range_lock::RangeGuard;
use crate::fault::{IoRange, Op};
use crate::protocol::names::SECTOR;
use crate::storage::write_log::{Order, Place, Record, Sectors};
use crate::storage::{Image, with_buffer};

/// What a log has of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Data,
    Zeroes,
    Discard,
}

impl Kind {
    fn of(request: &Request<'_>) -> Option<Self> {
        match request {
            Request::Write { .. } => Some(Self::Data),
            Request::Zero { .. } | Request::Grow { .. } => Some(Self::Zeroes),
            Request::Discard { .. } | Request::Erase { .. } => Some(Self::Discard),
            Request::Read { .. }
            | Request::Flush { .. }
            | Request::Append { .. }
            | Request::Allocate { .. }
            | Request::SetSize { .. } => None,
        }
    }

    /// What a log has of a change that becomes pending.
    pub(super) fn of_content(content: &Content) -> Self {
        match content {
            Content::Data(_) => Self::Data,
            Content::Zeroes { .. } | Content::Grown => Self::Zeroes,
            Content::Discarded => Self::Discard,
        }
    }

    fn record(self, range: &Range<u64>, fua: bool, order: Order) -> Record {
        let sectors = Sectors {
            sector: range.start / SECTOR,
            sectors: (range.end - range.start) / SECTOR,
            fua,
            order,
        };
        match self {
            Self::Data => Record::Write(sectors),
            Self::Zeroes => Record::Zeroes(sectors),
            Self::Discard => Record::Discard(sectors),
        }
    }
}

/// The whole sectors that `range` touches.
fn around(range: &Range<u64>) -> Range<u64> {
    range.start / SECTOR * SECTOR..range.end.next_multiple_of(SECTOR)
}

fn is_aligned(range: &Range<u64>) -> bool {
    (range.start | range.end).is_multiple_of(SECTOR)
}

/// The data of a write of whole sectors that no rule has changed.
fn plain_data<'a>(
    request: &'a Request<'_>,
    applied: &Applied,
    range: &Range<u64>,
) -> Option<&'a [u8]> {
    let Request::Write { data, .. } = request else {
        return None;
    };
    (applied.is_plain() && is_aligned(range)).then_some(data)
}

impl Disk {
    /// Serves a request of a disk without a cache, and logs it.
    pub(super) fn serve_logged<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        applied: Applied,
        mut context: RequestContext<R>,
    ) {
        let Some(range) = self.range_in_log(request, &applied) else {
            return self.serve_and_log(None, request, &applied, context);
        };
        if let Some(guard) = self.ranges.try_lock(around(&range)) {
            return self.serve_and_log(Some((guard, range)), request, &applied, context);
        }
        let request = match request.clone().into_owned() {
            Ok(request) => request,
            Err(errno) => return self.answer_host_error(errno, context),
        };
        let disk = Arc::clone(self);
        context.defer(self);
        self.ranges.lock(around(&range), move |guard| {
            disk.serve_and_log(Some((guard, range)), &request, &applied, context);
        });
    }

    /// A range around all bytes that a request changes, as rules have it; None if it changes none.
    fn range_in_log(&self, request: &Request<'_>, applied: &Applied) -> Option<Range<u64>> {
        Kind::of(request)?;
        let IoRange { offset, len, .. } = request.range(0);
        let targets = applied.served(offset, len).map(Segment::target);
        targets.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
    }

    fn serve_and_log<R: Reply>(
        self: &Arc<Self>,
        locked: Option<(RangeGuard, Range<u64>)>,
        request: &Request<'_>,
        applied: &Applied,
        context: RequestContext<R>,
    ) {
        if self.power.gate.is_over(context.era) {
            // The power was cut while it waited for storage that did not answer.
            return self.answer_power_off(context);
        }
        let visible = context.begin_io(self);
        let result = self.change(request, applied);
        let order = self.order_of(context.arrival);
        match (&locked, Kind::of(request)) {
            (Some((_, range)), Some(kind)) => {
                match plain_data(request, applied, range).filter(|_| result.is_ok()) {
                    Some(data) => self.log.record(kind.record(range, false, order), data),
                    None => {
                        // After an error nobody knows how much was done: what is there now is logged.
                        let kind = if result.is_ok() { kind } else { Kind::Data };
                        let IoRange { offset, len, .. } = request.range(0);
                        for part in applied.served(offset, len) {
                            self.log_range(kind, &part.target(), order);
                        }
                    }
                }
            }
            _ if request.op() == Op::Flush && result.is_ok() => {
                self.log.record(Record::Flush(order), &[]);
            }
            _ => {}
        }
        drop(locked);
        drop(visible);
        self.answer_changed(request, result, applied, context);
    }

    /// The order of a request that arrived then and is answered now.
    fn order_of(&self, arrival: u64) -> Order {
        let answer = self.image.next_in_order();
        Order { arrival, answer }
    }

    /// Logs a change that has been made. Of sectors that it has changed in part, the log has what is there.
    fn log_range(&self, kind: Kind, range: &Range<u64>, order: Order) {
        let whole = range.start.next_multiple_of(SECTOR)..range.end / SECTOR * SECTOR;
        match kind {
            Kind::Data => self.log_content(&around(range), order),
            Kind::Zeroes | Kind::Discard if is_aligned(range) => {
                self.log.record(kind.record(range, false, order), &[]);
            }
            Kind::Zeroes | Kind::Discard if whole.is_empty() => {
                self.log_content(&around(range), order);
            }
            Kind::Zeroes | Kind::Discard => {
                self.log.record(kind.record(&whole, false, order), &[]);
                for edge in [
                    around(range).start..whole.start,
                    whole.end..around(range).end,
                ] {
                    self.log_content(&edge, order);
                }
            }
        }
    }

    /// Logs what the disk holds in whole sectors.
    fn log_content(&self, range: &Range<u64>, order: Order) {
        if range.is_empty() {
            return;
        }
        let place = self.log.reserve(Kind::Data.record(range, false, order));
        self.fill_with_content(place, range);
    }

    fn fill_with_content(&self, place: Place, range: &Range<u64>) {
        let len = (range.end - range.start) as usize;
        with_buffer(len, |buffer| {
            let read = buffer.and_then(|buffer| {
                let found = self.image.read_at(buffer, range.start)?;
                buffer[found..].fill(0);
                Ok(&*buffer)
            });
            match read {
                Ok(data) => self.log.fill(place, data),
                Err(cause) => self.log.tell(&cause),
            }
        });
    }

    /// The place in the log of a change that becomes pending or durable at `answer`; None without a log.
    pub(super) fn place_in_log(
        &self,
        kind: Kind,
        range: &Range<u64>,
        fua: bool,
        order: Order,
    ) -> Option<Place> {
        let is_logged = self.log.is_on() && !range.is_empty();
        // Zeros of a part of a sector are logged as the data that they leave.
        let kind = if is_aligned(range) { kind } else { Kind::Data };
        is_logged.then(|| self.log.reserve(kind.record(&around(range), fua, order)))
    }

    /// Writes a change to its place in the log.
    pub(super) fn fill_log(&self, place: Option<Place>, range: &Range<u64>, data: Option<&[u8]>) {
        match (place, data) {
            (None, _) => {}
            (Some(place), _) if !is_aligned(range) => {
                self.fill_with_content(place, &around(range));
            }
            (Some(place), data) => self.log.fill(place, data.unwrap_or_default()),
        }
    }

    /// Logs a change that became pending.
    pub(super) fn log_pending(&self, change: &StoredChange, place: Option<Place>) {
        self.fill_log(place, &change.span(), change.data());
    }

    /// Logs a flush.
    pub(super) fn log_flush(&self, arrival: u64) {
        if self.log.is_on() {
            let order = self.order_of(arrival);
            self.log.record(Record::Flush(order), &[]);
        }
    }
}
