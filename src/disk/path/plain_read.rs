//! Reads that no rule is for, as most requests of most disks: taken in, served and answered in one go. They carry
//! nothing along but what they ask for. One for which something comes up meanwhile is answered as any other request.

use std::sync::Arc;
use std::time::Instant;

use super::apply::{Applied, Done};
use super::context::{Durability, RequestContext};
use super::request::{Answer, Origin, Reply, Request};
use crate::disk::device::Disk;
use crate::disk::power::gate::Era;
use crate::fault::{IoRange, Op};
use crate::protocol::Completion;
use crate::storage::{Image, with_buffer};

impl Disk {
    /// Serves a read on this thread, unless something else is to be done for it: then its reply comes back.
    #[inline(always)]
    pub(super) fn read_plainly<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        origin: Origin,
        reply: R,
    ) -> Option<R> {
        let Request::Read { offset, len } = *request else {
            return Some(reply);
        };
        let range = IoRange {
            op: Op::Read,
            offset,
            len: len.into(),
        };
        let generation = self.rules_changed();
        if !self.reads_plainly(request, range, origin) {
            return Some(reply);
        }
        let (arrived, era) = (Instant::now(), self.power.gate.era());
        let Ok(pass) = self.power.gate.enter(era) else {
            return Some(reply);
        };
        self.counters.of(Op::Read).arrived(range.len);
        let visible = self.serving.enter(range, arrived, false);
        with_buffer(len as usize, |buffer| {
            let read = buffer.and_then(|buffer| {
                let found = self.image.read_at(buffer, offset)?;
                Ok(Answer::Data(&buffer[..found]))
            });
            // Out of the table before the answer: a client that has it finds its request gone.
            drop(visible);
            match read {
                Ok(data) if self.is_still_plain(era, generation) => {
                    let latency = self.count_answer(Op::Read, arrived);
                    self.trace_answer(range, Completion::Done, latency, Vec::new());
                    reply.send(Ok(data));
                    self.power.gate.leave(Some(pass));
                }
                read => {
                    let none = Durability::None;
                    let mut context = RequestContext::new(self, range, origin.client, none, reply);
                    (context.arrived, context.era) = (arrived, era);
                    (context.pass, context.undecided) = (Some(pass), Some(generation));
                    let applied = Applied::default();
                    self.answer(request, read, Done::Served(&applied), context);
                }
            }
        });
        None
    }

    /// Whether a read that arrives now has to be read, and nothing else.
    #[inline]
    fn reads_plainly(&self, request: &Request<'_>, range: IoRange, origin: Origin) -> bool {
        origin.may_wait
            && !self.must_wait_first(request, range)
            && !self.has_rule_for(Op::Read, range.offset, range.len)
            && !self.strain.of(Op::Read).is_slow()
            && !self.decisions.are_read()
            && self.check(request, range, origin.is_aligned).is_ok()
    }

    /// Whether nothing has come up since: no cut, and no other rules.
    #[inline]
    fn is_still_plain(&self, era: Era, generation: u64) -> bool {
        !self.power.gate.is_over(era) && self.rules_changed() == generation
    }
}
