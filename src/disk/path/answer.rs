//! The last look at the fault set, after the I/O, and the answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::apply::Done;
use super::context::{Durability, RequestContext};
use super::request::{Answer, Fua, Reply, Request};
use super::wait::Executor;
use crate::disk::device::Disk;
use crate::fault::{Armed, IoRange, Op};
use crate::protocol::{Completion, Errno};

impl Disk {
    /// Answers a request that was served, unless an error was armed for it meanwhile.
    #[inline(always)]
    pub(super) fn answer<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        result: io::Result<Answer<'_>>,
        done: Done<'_>,
        mut context: RequestContext<R>,
    ) {
        // The cut has not waited for it: its storage did not answer.
        if self.power.gate.is_over(context.era) {
            return self.answer_power_off(context);
        }
        let late = self.late_error(&mut context);
        if result.is_ok() {
            self.note_damage(request, done, late.as_ref().map(|(_, rule)| rule));
        }
        if let Some((errno, rule)) = late {
            context.rules().acted.push(rule);
            return self.answer_injected(errno, context);
        }
        match result {
            Ok(answer) => self.answer_done(answer, context),
            Err(error) => self.answer_host_error(Errno::of(&error), context),
        }
    }

    #[inline]
    fn late_error<R>(&self, context: &mut RequestContext<R>) -> Option<(Errno, Arc<Armed>)> {
        match context.undecided == Some(self.rules_changed()) {
            true => None,
            false => self.look_for_late_error(context),
        }
    }

    #[cold]
    fn look_for_late_error<R>(
        &self,
        context: &mut RequestContext<R>,
    ) -> Option<(Errno, Arc<Armed>)> {
        let mut recorder = self.decisions.recorder();
        let (range, faults) = (context.range, self.rules.acting.load());
        if let Some(recorder) = &mut recorder {
            recorder.meet(&faults);
        }
        let hits = context.hits_for(self, &faults, recorder.as_ref());
        let late = faults.late_error(range, self.now(), hits);
        context.recorded(recorder);
        late
    }

    #[inline(always)]
    fn answer_done<R: Reply>(self: &Arc<Self>, answer: Answer<'_>, mut context: RequestContext<R>) {
        self.account(Completion::Done, &mut context);
        if context.range.op == Op::Flush {
            self.durability.flushes.fetch_add(1, Ordering::SeqCst);
        }
        match (context.durability, answer) {
            (Durability::None, answer) => self.send(context, Ok(answer)),
            (Durability::FlushOf(written), _) => self.send(context, Ok(Answer::Done(written))),
            // With a cache it is durable as it is, or a rule has lost it.
            (Durability::Due(_), answer) if self.image.is_cached() => {
                self.send(context, Ok(answer))
            }
            (Durability::Due(fua), Answer::Done(written)) => {
                self.flush_write(fua, written, context)
            }
            (Durability::Due(fua), Answer::Data(_)) => self.flush_write(fua, 0, context),
        }
    }

    /// Flushes a write that is to be on stable storage before it is answered. The storage below knows
    /// no other way, so that this is a request of its own, which rules and counters see as any flush.
    #[cold]
    fn flush_write<R: Reply>(self: &Arc<Self>, fua: Fua, written: u64, write: RequestContext<R>) {
        let flush = Request::Flush {
            data_only: fua == Fua::Data,
        };
        let range = IoRange {
            op: Op::Flush,
            offset: 0,
            len: 0,
        };
        let durability = Durability::FlushOf(written);
        self.power.gate.leave(write.pass);
        let (client, era, reply) = (write.client, write.era, write.reply);
        let mut context = RequestContext::new(self, range, client, durability, reply);
        // It is a part of the write.
        context.era = era;
        // Wherever the write was answered: that thread may be one that must not wait.
        self.begin(flush, Executor::Pool, context);
    }

    /// Answers with an error of the host.
    #[cold]
    pub(super) fn answer_host_error<R: Reply>(&self, errno: Errno, mut context: RequestContext<R>) {
        self.counters.of(context.range.op).host_error();
        let (id, range) = (self.id(), context.range);
        let remark = self.remark(errno);
        self.host_errors.log(id, range, errno, self.now(), &remark);
        self.account(Completion::Host(errno), &mut context);
        self.send(context, Err(errno));
    }

    /// What the log adds to an error of the host.
    fn remark(&self, errno: Errno) -> String {
        let below = &self.image.below;
        match errno.0 == libc::ENOSPC && below.has_layers() {
            true => format!(
                " (changes go into the run-time folder {}; its place is $XDG_RUNTIME_DIR)",
                below.folder().path().display()
            ),
            false => String::new(),
        }
    }

    /// Answers with the error of a disk without power.
    #[cold]
    pub(super) fn answer_power_off<R: Reply>(&self, mut context: RequestContext<R>) {
        self.power.errors.fetch_add(1, Ordering::SeqCst);
        self.account(Completion::PowerOff, &mut context);
        self.send(context, Err(Errno::EIO));
    }

    /// Sends the answer. The request is inside the gate until then.
    fn send<R: Reply>(&self, context: RequestContext<R>, result: Result<Answer<'_>, Errno>) {
        context.reply.send(result);
        self.power.gate.leave(context.pass);
    }

    /// Answers with an injected error.
    #[cold]
    pub(super) fn answer_injected<R: Reply>(&self, errno: Errno, mut context: RequestContext<R>) {
        self.counters.of(context.range.op).injected_error();
        self.clients.lock().count_injected(context.client);
        self.account(Completion::Injected(errno), &mut context);
        self.send(context, Err(errno));
    }

    /// Counts an answer, before it is sent: a client that has seen it also finds it counted. Out of the list it is only
    /// then, and before the answer too: who finds it neither there nor counted would have lost it.
    fn account<R>(&self, completion: Completion, context: &mut RequestContext<R>) {
        let latency = self.count_answer(context.range.op, context.arrived);
        // One that was released is answered before.
        let own = context
            .due()
            .and_then(|due| Instant::now().checked_duration_since(due));
        if let Some(own) = own {
            self.own_times.learn(context.range.op, own);
        }
        let acted = context.end_rules();
        self.trace_answer(context.range, completion, latency, acted);
    }

    /// Counts the answer to a request that arrived then. Returns its latency.
    #[inline]
    pub(super) fn count_answer(&self, op: Op, arrived: Instant) -> Duration {
        let latency = arrived.elapsed();
        self.counters.of(op).answered(latency);
        latency
    }

    /// Writes the answer to a request on which the rules `acted` have acted to the trace, if somebody reads that.
    #[inline]
    pub(super) fn trace_answer(
        &self,
        range: IoRange,
        completion: Completion,
        latency: Duration,
        acted: Vec<Arc<Armed>>,
    ) {
        if self.trace.is_on() {
            self.trace.record(range, completion, latency, acted);
        }
    }
}
