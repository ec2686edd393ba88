//! Requests at a `limit`: before any delay, and one limit after the other in the order armed.

use std::sync::Arc;
use std::time::Duration;

use super::armed::Draw;
use super::at_limit::AtLimit;
use super::candidates::Candidates;
use super::{Action, Armed, FaultSet, Firing, RuleHits, Stage, Then, Wait};

impl FaultSet {
    /// Why a request has to wait at `now` for a limit, if it has to.
    pub(super) fn limit(
        &self,
        candidates: &Candidates<'_>,
        now: Duration,
        hits: &mut RuleHits,
    ) -> Option<Wait> {
        let range = candidates.range;
        if !candidates.limiting.is_empty() {
            hits.enter(Stage::Delay);
        }
        for armed in &candidates.limiting {
            let Action::Limit(limit) = &armed.rule.action else {
                continue;
            };
            if let Some(at) = hits.limits.iter_mut().find(|at| at.rule.id == armed.id) {
                match at.wait(limit, now) {
                    None => continue,
                    Some(wait) => return Some(wait_for(armed, wait)),
                }
            }
            let Ok(Draw { random, .. }) = self.fire(armed, range, now, hits) else {
                continue;
            };
            let start = armed.pace().admit(limit, range.len, now);
            let time = start.saturating_sub(now);
            if !time.is_zero() {
                hits.acted(|| Firing::delaying(armed, time, &random).by_load());
            }
            let mut at = AtLimit::new(armed, range.len, start);
            let wait = at.wait(limit, now);
            hits.limits.push(at);
            if let Some(wait) = wait {
                return Some(wait_for(armed, wait));
            }
        }
        None
    }
}

/// A wait for the time of a limit, or else for one of so many lanes.
fn wait_for(armed: &Arc<Armed>, (time, lanes): (Duration, Option<u64>)) -> Wait {
    Wait {
        time,
        measured: Duration::ZERO,
        then: Then::Ok,
        is_hang: false,
        lanes,
        rules: vec![Arc::clone(armed)],
    }
}
