//! Requests that wait: for a rule, or for a thread of the pool.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLockReadGuard;

use super::context::RequestContext;
use super::held::{GoOn, Held};
use super::request::{Reply, Request};
use super::reservation::Reservation;
use crate::disk::device::Disk;
use crate::fault::{Then, Wait};
use crate::protocol::Errno;

/// Which thread does the I/O of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Executor {
    ThisThread,
    Pool,
}

impl Disk {
    /// Has a thread of the pool go on with the request, of which it gets a copy.
    #[cold]
    pub(super) fn on_pool<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        mut context: RequestContext<R>,
        go_on: impl FnOnce(&Arc<Self>, Request<'static>, RequestContext<R>) + Send + 'static,
    ) {
        let request = match self.kept(request, &mut context) {
            Ok(request) => request,
            Err(errno) => return self.answer_host_error(errno, context),
        };
        let disk = Arc::clone(self);
        let work = move || go_on(&disk, request, context);
        self.delays.pool().run(self.owner, work);
    }

    /// Holds the request for as long as the rules say that it waits for. `look` ends when it waits.
    pub(super) fn hold<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        wait: Wait,
        mut context: RequestContext<R>,
        look: RwLockReadGuard<'_, ()>,
    ) {
        context.waits_for(&wait.rules);
        let request = match self.kept(request, &mut context) {
            Ok(request) => request,
            Err(errno) => return self.answer_host_error(errno, context),
        };
        let counters = self.counters.of(context.range.op);
        let waited = &mut context.rules().waited;
        let rules = wait.rules.iter();
        let effects = rules.filter_map(|rule| rule.rule.action.kind().effect());
        let new = effects.filter(|effect| !std::mem::replace(&mut waited[*effect as usize], true));
        counters.acted_on(new);
        let (disk, pass) = (Arc::clone(self), context.pass.take());
        let ids: Vec<_> = wait.rules.iter().map(|armed| armed.id).collect();
        let lane = wait.lanes.zip(ids.first().map(|id| (self.owner, *id)));
        let due = self.due(&wait, &mut context);
        let held = Held {
            due,
            arrived: context.arrived,
            owner: self.owner,
            is_hang: wait.is_hang,
            shown: context.defer(self).wait_for(wait.rules.clone()),
            rules: wait.rules,
            request,
            go_on: Box::new(move |request, how| {
                if let (GoOn::Due, Some((_, key))) = (how, lane) {
                    context.goes_on_in(disk.delays.lane(key), key.1);
                }
                disk.go_on(request, how, wait.then, context);
            }),
        };
        match lane {
            Some((all, key)) => self.delays.hold_for_lane(key, all, held),
            None => self.delays.hold(held),
        }
        // Now a cut finds it among those that wait, and so does whoever has seen it counted.
        drop(look);
        self.power.gate.leave(pass);
        // Disarmed between the look and here: nothing else would let it go.
        let faults = self.faults();
        if !ids.iter().any(|id| faults.has(*id)) {
            self.release_unarmed();
        }
    }

    /// When a request goes on that waits from now on.
    fn due<R>(&self, wait: &Wait, context: &mut RequestContext<R>) -> Instant {
        let counted = self.delays.way() + self.own_times.of(context.range.op);
        let due = Instant::now() + wait.time - counted.min(wait.measured);
        context.rules().due = (!wait.measured.is_zero()).then_some(due);
        due
    }

    /// A request that has waited goes on; with `then` if it was due.
    fn go_on<R: Reply>(
        self: &Arc<Self>,
        request: Request<'static>,
        how: GoOn,
        then: Then,
        mut context: RequestContext<R>,
    ) {
        let then = match how {
            GoOn::Due => then,
            GoOn::Released(then) => then,
            GoOn::PowerOff => {
                context.leave_limits();
                return self.answer_power_off(context);
            }
        };
        match then {
            Then::Ok => self.look(request, Executor::ThisThread, context),
            Then::Error(errno) => {
                context.leave_limits();
                self.answer_injected(errno, context);
            }
        }
    }

    /// The request as it can wait, listed and with room for its data. It keeps the reservation that it has: a
    /// request that waits again takes no more.
    pub(super) fn kept<R>(
        self: &Arc<Self>,
        request: Request<'_>,
        context: &mut RequestContext<R>,
    ) -> Result<Request<'static>, Errno> {
        let reservation = match context.take_reservation() {
            Some(reservation) => reservation,
            None => self.reserve(request.data_len())?,
        };
        let request = request.into_owned()?;
        context.rules().reservation = Some(reservation);
        context.defer(self);
        Ok(request)
    }

    /// Room for data that wait. What is pending makes room; ENOMEM where nothing is.
    fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Errno> {
        let mut reservation = self.delays.memory().reservation();
        if let Err(errno) = reservation.grow(bytes) {
            if !self.image.has_pending() {
                return Err(errno);
            }
            reservation.grow_past_the_limit(bytes);
            self.make_room_soon();
        }
        Ok(reservation)
    }
}
