//! The I/O of a request of a disk with a volatile write cache: a change becomes pending; a flush makes durable what
//! was answered before it arrived, and a write with FUA itself alone.

use std::io;
use std::sync::Arc;

use super::apply::Applied;
use super::context::RequestContext;
use super::logged::Kind;
use super::request::{Fua, Reply, Request, owned};
use super::reservation::Reservation;
use crate::disk::cache::Amount;
use crate::disk::cache::entry::{Content, StoredChange};
use crate::disk::device::Disk;
use crate::disk::range_lock::{ALL, RangeGuard};
use crate::fault::{IoRange, Op};
use crate::protocol::{DiskEvent, Errno, Note};
use crate::storage::Image;
use crate::storage::write_log::Order;

/// A flush of more pending bytes is left to the pool.
const QUICK_FLUSH: u64 = 1 << 20;

/// What a change needs to be stored.
struct Way<'a, 'b> {
    /// For each part, by what it costs.
    right: &'b mut dyn FnMut(u64) -> io::Result<Right<'a>>,
    /// When it arrived, in the order of arrivals and answers.
    arrival: u64,
}

/// Room to become pending, or the right to write to the image below.
enum Right<'a> {
    Pending(Reservation),
    Through(&'a RangeGuard),
}

impl Disk {
    /// Whether a request takes longer than a loop thread should give to it.
    pub(super) fn takes_long(&self, request: &Request<'_>) -> bool {
        let is_flush = matches!(request, Request::Flush { .. });
        is_flush && self.image.has_pending() && self.image.pending_amount().bytes > QUICK_FLUSH
    }

    /// Serves any request but a read.
    pub(super) fn serve_cached<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        applied: Applied,
        context: RequestContext<R>,
    ) {
        let is_durable = request.op() == Op::Flush || request.fua().is_some();
        // Parts take room one by one.
        let needs_turn = is_durable || applied.is_in_parts();
        let room = match needs_turn {
            true => None,
            false => self
                .image
                .room_for(StoredChange::cost_of(request.data_len())),
        };
        let Some(room) = room else {
            return self.take_turn(request, applied, context);
        };
        let visible = context.begin_io(self);
        let mut room = Some(room);
        let mut way = Way {
            right: &mut |_| {
                let room = room.take().ok_or(io::ErrorKind::InvalidInput)?;
                Ok(Right::Pending(room))
            },
            arrival: context.arrival,
        };
        let result = self.store(request, &applied, &mut way);
        drop(visible);
        self.answer_changed(request, result, &applied, context);
    }

    /// Serves it when it is its turn: at once on this thread, or later on one of the pool.
    fn take_turn<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        applied: Applied,
        mut context: RequestContext<R>,
    ) {
        if let Some(turn) = self.ranges.try_lock(ALL) {
            return self.serve_in_turn(turn, request, applied, context);
        }
        let request = match request.clone().into_owned() {
            Ok(request) => request,
            Err(errno) => return self.answer_host_error(errno, context),
        };
        let disk = Arc::clone(self);
        context.defer(self);
        self.ranges.lock(ALL, move |turn| {
            disk.serve_in_turn(turn, &request, applied, context);
        });
    }

    fn serve_in_turn<R: Reply>(
        self: &Arc<Self>,
        turn: RangeGuard,
        request: &Request<'_>,
        applied: Applied,
        context: RequestContext<R>,
    ) {
        if self.power.gate.is_over(context.era) {
            // The power was cut while it waited for storage that did not answer.
            return self.answer_power_off(context);
        }
        let visible = context.begin_io(self);
        let result = match *request {
            Request::Flush { data_only } => self.flush_before(&turn, context.arrival, data_only),
            Request::Write {
                offset,
                ref data,
                fua: Some(fua),
            } => self.write(data, offset, &applied, |data, place| {
                let data_only = fua == Fua::Data;
                self.put_durably(&turn, &data, place, data_only, context.arrival)
            }),
            _ => self.store_in_turn(&turn, request, &applied, context.arrival),
        };
        drop(visible);
        drop(turn);
        self.answer_changed(request, result, &applied, context);
    }

    /// Makes durable what was answered before `arrival`, and then the image below.
    fn flush_before(&self, turn: &RangeGuard, arrival: u64, data_only: bool) -> io::Result<()> {
        self.image.make_durable(turn, arrival)?;
        self.image.below.flush(data_only)?;
        self.log_flush(arrival);
        Ok(())
    }

    /// Writes data that are durable at once, past what is pending.
    fn put_durably(
        &self,
        turn: &RangeGuard,
        data: &[u8],
        place: u64,
        data_only: bool,
        arrival: u64,
    ) -> (usize, io::Result<()>) {
        let range = place..place + data.len() as u64;
        let mut logged = None;
        let log = |answer| {
            let order = Order { arrival, answer };
            logged = self.place_in_log(Kind::Data, &range, true, order);
        };
        let stored = self.image.write_durably(turn, data, place, data_only, log);
        self.fill_log(logged, &range, Some(data));
        stored
    }

    /// Stores a change for which there was no room: older ones make room, or it becomes durable at once.
    fn store_in_turn(
        &self,
        turn: &RangeGuard,
        request: &Request<'_>,
        applied: &Applied,
        arrival: u64,
    ) -> io::Result<()> {
        let mut way = Way {
            right: &mut |cost| {
                let (room, evicted) = self.image.make_room(turn, cost)?;
                self.note_evicted(evicted);
                Ok(room.map_or(Right::Through(turn), Right::Pending))
            },
            arrival,
        };
        self.store(request, applied, &mut way)
    }

    /// Stores a change as it is asked for.
    fn store(
        &self,
        request: &Request<'_>,
        applied: &Applied,
        way: &mut Way<'_, '_>,
    ) -> io::Result<()> {
        match *request {
            Request::Write {
                offset, ref data, ..
            } => {
                return self.write(data, offset, applied, |data, place| {
                    let len = data.len();
                    let content = owned(data).map(Content::Data).map_err(io::Error::from);
                    let put =
                        content.and_then(|data| self.put(Op::Write, place, len as u64, data, way));
                    (if put.is_ok() { len } else { 0 }, put)
                });
            }
            Request::Allocate {
                offset,
                len,
                keep_size,
            } => return self.allocate(offset, len, keep_size, way),
            _ => {}
        }
        let IoRange { op, offset, len } = request.range(0);
        self.change_parts(request, offset, len, applied, |part| {
            // What has none is served elsewhere, or has got a place before.
            let change = request.clone().into_change()?;
            let StoredChange { content, .. } = change.ok_or(io::ErrorKind::InvalidInput)?;
            self.put(op, part.place(), part.len(), content, way)?;
            self.learn_growth(part.place(), part.len(), !request.may_grow());
            Ok(())
        })
    }

    /// Reserves storage for what the image below has; the disk grows in the cache alone.
    fn allocate(
        &self,
        offset: u64,
        len: u64,
        keep_size: bool,
        way: &mut Way<'_, '_>,
    ) -> io::Result<()> {
        let (size, end) = (self.size()?, offset.saturating_add(len));
        let stored = self.image.below.size()?.min(end).saturating_sub(offset);
        if stored > 0 || keep_size {
            let len = if keep_size { len } else { stored };
            self.image.below.allocate(offset, len, true)?;
        }
        if keep_size || end <= size {
            return Ok(());
        }
        self.put(Op::Zero, size, end - size, Content::Grown, way)?;
        self.learn_growth(offset, len, false);
        Ok(())
    }

    fn put(
        &self,
        op: Op,
        offset: u64,
        len: u64,
        content: Content,
        way: &mut Way<'_, '_>,
    ) -> io::Result<()> {
        let range = IoRange { op, offset, len };
        let change = StoredChange { range, content };
        let (kind, span) = (Kind::of_content(&change.content), change.span());
        let reserve = |answer| {
            let order = Order {
                arrival: way.arrival,
                answer,
            };
            self.place_in_log(kind, &span, false, order)
        };
        match (way.right)(change.cost())? {
            Right::Pending(room) => {
                let (entry, place) = self.image.add(change, room, reserve);
                self.log_pending(&entry.change, place);
            }
            Right::Through(turn) => {
                let mut place = None;
                let log = |answer| place = reserve(answer);
                let evicted = self.image.store_through(turn, &change, log)?;
                self.log_pending(&change, place);
                self.note_evicted(evicted);
            }
        }
        Ok(())
    }

    /// What is pending makes room on a thread of the pool: others have taken more than there is.
    pub(super) fn make_room_soon(self: &Arc<Self>) {
        let disk = Arc::clone(self);
        self.ranges.lock(ALL, move |turn| {
            if let Ok((_, evicted)) = disk.image.make_room(&turn, 0) {
                disk.note_evicted(evicted);
            }
        });
    }

    /// Tells of requests that became durable early: the trace each time, `ctl/events` once.
    fn note_evicted(&self, evicted: Amount) {
        let Amount { requests, bytes } = evicted;
        if requests == 0 {
            return;
        }
        let event = DiskEvent::Evicted { requests, bytes };
        if self.image.is_first_eviction(evicted) {
            self.mains.tell(self.id(), event.clone());
        }
        self.trace.note(Note::Disk(event));
    }

    /// Makes all that is pending durable, the image below too. No request is inside the gate.
    pub(in crate::disk) fn make_all_durable(&self, turn: &RangeGuard) -> Result<(), Errno> {
        let flushed = self.flush_before(turn, u64::MAX, false);
        flushed.map_err(|error| Errno::of(&error))
    }
}
