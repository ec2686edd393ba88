//! Requests and the power of their disk: waiting in front of its gate, and rules that cut it.

use std::sync::Arc;

use super::context::{Durability, RequestContext};
use super::request::{Reply, Request};
use super::wait::Executor;
use crate::disk::device::Disk;
use crate::disk::power::all::CutUnderWay;
use crate::disk::power::gate::{Barred, Parked};
use crate::fault::{Action, Armed, CutPoint, CutRule, CutScope, Decision, Outcome};
use crate::protocol::Effect;

/// A rule that cuts the power.
pub(super) struct RuleCut {
    under_way: CutUnderWay,
    rule: Arc<Armed>,
    cut: CutRule,
}

impl Disk {
    /// A request that is not let in waits, or fails because the power is off.
    #[cold]
    pub(super) fn wait_at_the_gate<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        barred: Barred,
        mut context: RequestContext<R>,
    ) {
        if barred == Barred::Off {
            return self.answer_power_off(context);
        }
        let request = match self.kept(request, &mut context) {
            Ok(request) => request,
            Err(errno) => return self.answer_host_error(errno, context),
        };
        let disk = Arc::clone(self);
        let go_on = move |request| disk.look(request, Executor::ThisThread, context);
        let parked = Parked {
            request,
            go_on: Box::new(go_on),
        };
        // The gate has opened meanwhile.
        if let Some(parked) = self.power.gate.park(parked) {
            self.go_on_with(vec![parked]);
        }
    }

    /// Closes the gates if a rule cuts the power. The caller holds the order of requests.
    pub(super) fn begin_cut(self: &Arc<Self>, outcome: &Outcome) -> Option<RuleCut> {
        let Some((Decision::Cut(_), rule)) = &outcome.decision else {
            return None;
        };
        let Action::Cut(cut) = &rule.rule.action else {
            return None;
        };
        let only = match cut.scope {
            CutScope::Mount => None,
            CutScope::Disk => Some(self),
        };
        Some(RuleCut {
            under_way: self.mains.begin_cut(only),
            rule: Arc::clone(rule),
            cut: cut.clone(),
        })
    }

    /// Cuts the power on a thread of the pool. The request is not done and fails, or it is the last that is done.
    pub(super) fn cut_by_rule<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        outcome: Outcome,
        executor: Executor,
        cut: RuleCut,
        mut context: RequestContext<R>,
    ) {
        self.counters.of(context.range.op).acted_on([Effect::Cut]);
        let (point, seed) = (cut.cut.point, outcome.seed);
        if !cut.under_way.has(self) {
            // Another cut has closed the gate meanwhile, and waits for this request, which is inside.
            let others = move || cut.finish(seed, || ());
            self.delays.pool().run(self.owner, others);
            return match point {
                CutPoint::Before => self.answer_power_off(context),
                CutPoint::After => self.carry_out(request, outcome, executor, context),
            };
        }
        context.defer(self);
        self.power.gate.leave(context.pass.take());
        let request = request.into_owned();
        let disk = Arc::clone(self);
        self.delays.pool().run(self.owner, move || {
            let mut waiting = Some(context);
            cut.finish(seed, || {
                if let (CutPoint::After, Ok(request)) = (point, &request)
                    && let Some(mut context) = waiting.take()
                {
                    if let Durability::Due(_) = context.durability {
                        // No flush comes after it.
                        context.durability = Durability::None;
                    }
                    disk.serve(request, outcome, context);
                }
            });
            if let Some(context) = waiting {
                disk.answer_power_off(context);
            }
        });
    }
}

impl RuleCut {
    /// Cuts the power after `last`. `seed` is for a rule that says none.
    fn finish(self, seed: u64, last: impl FnOnce()) {
        let cut = self.cut.with_seed(seed);
        let text = self.rule.short_text();
        let _ = self.under_way.finish(&cut, Some(&text), last);
    }
}
