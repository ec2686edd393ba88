//! A request from its arrival until it is clear what becomes of it: the checks, and the first two looks
//! at the fault set.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::apply::Done;
use super::context::{Durability, RequestContext};
use super::request::{Answer, Origin, Reply, Request};
use super::wait::Executor;
use crate::disk::device::Disk;
use crate::fault::{Candidates, Decision, FaultSet, IoRange, Op, Outcome, Wait};
use crate::protocol::Effect;

impl Disk {
    /// Takes in a request and answers it through `reply`: on this thread, or later on one of the pool
    /// when a fault delays it, when the storage is slow, and always unless this thread may wait for
    /// storage.
    pub fn submit(self: &Arc<Self>, request: Request<'_>, origin: Origin, reply: impl Reply) {
        let Some(reply) = self.read_plainly(&request, origin, reply) else {
            return;
        };
        let range = request.range(self.known_size());
        let is_aligned = origin.is_aligned && !request.is_relative();
        if let Err(errno) = self.check(&request, range, is_aligned) {
            return reply.send(Err(errno));
        }
        let durability = Durability::of(request.fua());
        let context = RequestContext::new(self, range, origin.client, durability, reply);
        if request.is_relative() {
            return self.on_pool(request, context, move |disk, request, mut context| {
                context.end_deferral();
                disk.settle();
                disk.place_and_take_in(request, origin.is_aligned, context);
            });
        }
        let executor = match origin.may_wait && !self.strain.of(range.op).is_slow() {
            true => Executor::ThisThread,
            false => Executor::Pool,
        };
        self.begin(request, executor, context);
    }

    /// Takes in a request that was checked, once it need not wait for that.
    #[inline(always)]
    pub(super) fn begin<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        executor: Executor,
        context: RequestContext<R>,
    ) {
        if self.must_wait_first(&request, context.range) {
            return self.on_pool(request, context, |disk, request, mut context| {
                context.end_deferral();
                disk.settle();
                disk.take_in(request, Executor::ThisThread, context);
            });
        }
        self.take_in(request, executor, context);
    }

    /// Whether the request has to wait before it is looked at: for word of a last close, or because
    /// the host has to say where the disk ends.
    pub(super) fn must_wait_first(&self, request: &Request<'_>, range: IoRange) -> bool {
        let is_armed = self.rules_changed() != 0;
        is_armed && self.settling.is_expected() || self.asks_for_end(request, range)
    }

    fn place_and_take_in<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        is_aligned: bool,
        mut context: RequestContext<R>,
    ) {
        let placed = self.place(request).and_then(|placed| {
            if let Some(request) = &placed {
                context.range = request.range(self.known_size());
                self.check(request, context.range, is_aligned)?;
            }
            Ok(placed)
        });
        match placed {
            Ok(Some(request)) => self.take_in(request, Executor::ThisThread, context),
            Ok(None) => context.reply.send(Ok(Answer::Done(0))),
            Err(errno) => context.reply.send(Err(errno)),
        }
    }

    #[inline(always)]
    fn take_in<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        executor: Executor,
        mut context: RequestContext<R>,
    ) {
        let bound = self.bound(request, &mut context.range);
        let range = context.range;
        self.counters.of(range.op).arrived(range.len);
        if context.is_fua() {
            self.durability.fua.fetch_add(1, Ordering::SeqCst);
        }
        match bound {
            Ok(request) => self.look(request, executor, context),
            Err(errno) => self.answer_host_error(errno, context),
        }
    }

    /// The first look, and the second: the one after a wait. Rules that were counted are not asked
    /// again, so that it ends.
    pub(super) fn look<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        executor: Executor,
        mut context: RequestContext<R>,
    ) {
        let range = context.range;
        // Where somebody reads the decisions, requests are counted and decided in one order.
        let mut recorder = self.decisions.recorder();
        let generation = self.rules_changed();
        let faults = (generation != 0).then(|| self.rules.acting.load());
        if let (Some(recorder), Some(faults)) = (&mut recorder, &faults) {
            recorder.meet(faults);
        }
        let faults = faults.filter(|faults| faults.concerns(range));
        // A request that comes after one whose rule cuts the power finds the gate closed.
        let cuts = faults.as_ref().is_some_and(|faults| faults.cuts_power());
        let order = cuts.then(|| self.power.order.lock());
        context.pass = match self.power.gate.enter(context.era) {
            Ok(pass) => Some(pass),
            Err(barred) => {
                drop((order, recorder));
                return self.wait_at_the_gate(request, barred, context);
            }
        };
        let Some(faults) = faults else {
            context.undecided = Some(generation);
            context.passed(self, recorder);
            return self.carry_out(request, Outcome::default(), executor, context);
        };
        let (now, look) = (self.now(), self.looking.read());
        context.hits_for(self, &faults, recorder.as_ref());
        let candidates = faults.candidates(range);
        if let Some(wait) = self.wait_of(&faults, &candidates, now, &mut context) {
            context.recorded(recorder);
            drop(candidates);
            drop((faults, order));
            return self.hold(request, wait, context, look);
        }
        drop(look);
        let outcome = faults.outcome_of(&candidates, now, context.known_hits());
        context.recorded(recorder);
        context.undecided = (!candidates.may_decide()).then_some(generation);
        let cut = self.begin_cut(&outcome);
        drop(candidates);
        drop((faults, order));
        context.rules().acted.extend(outcome.rules().cloned());
        if let Some(cut) = cut {
            return self.cut_by_rule(request, outcome, executor, cut, context);
        }
        self.do_as_decided(request, outcome, executor, context);
    }

    /// Answers the request, or has it served.
    fn do_as_decided<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        outcome: Outcome,
        executor: Executor,
        context: RequestContext<R>,
    ) {
        match outcome.decision {
            Some((Decision::Error(errno), _)) => self.answer_injected(errno, context),
            Some((Decision::Lose, _)) => {
                let range = context.range;
                self.counters.of(range.op).acted_on([Effect::Lost]);
                let result = Ok(Answer::Done(range.len));
                self.answer(&request, result, Done::Lost(&outcome.lost), context);
            }
            // A cut has been carried out before.
            Some((Decision::Tear(..) | Decision::Cut(_), _)) | None => {
                self.carry_out(request, outcome, executor, context);
            }
        }
    }

    /// Why the request has to wait. Where it waits for nothing but a lane that is free, it takes it.
    fn wait_of<R>(
        &self,
        faults: &FaultSet,
        candidates: &Candidates<'_>,
        now: Duration,
        context: &mut RequestContext<R>,
    ) -> Option<Wait> {
        loop {
            let wait = faults.wait_for(candidates, now, context.known_hits())?;
            let (Some(all), Some(rule)) = (wait.lanes, wait.rules.first()) else {
                return Some(wait);
            };
            let Some(lane) = self.delays.take_lane((self.owner, rule.id), all) else {
                return Some(wait);
            };
            context.goes_on_in(lane, rule.id);
        }
    }

    /// Its place in the order of arrivals and answers, where a cache or a log asks for it.
    pub(super) fn arrival(&self, op: Op) -> u64 {
        let is_asked_for = op != Op::Read && (self.image.is_cached() || self.log.is_on());
        match is_asked_for {
            true => self.image.next_in_order(),
            false => 0,
        }
    }

    /// Does what the looks have decided, on this thread or on the pool.
    #[inline(always)]
    pub(super) fn carry_out<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        outcome: Outcome,
        executor: Executor,
        context: RequestContext<R>,
    ) {
        let executor = match self.takes_long(&request) {
            true => Executor::Pool,
            false => executor,
        };
        match executor {
            Executor::ThisThread => self.serve(&request, outcome, context),
            Executor::Pool => self.on_pool(request, context, |disk, request, context| {
                let (op, begun) = (request.op(), Instant::now());
                disk.serve(&request, outcome, context);
                disk.strain.of(op).learn(begun.elapsed());
            }),
        }
    }
}
