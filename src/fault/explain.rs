//! What would become of a request, told without doing it: the set serves it as a copy of itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Armed, FaultSet, IoRange, Seen, Then, Why};

impl FaultSet {
    /// What would become of a request at `now`: every rule with why it would not act, if it would
    /// not. Counts nothing.
    pub fn explain(&self, ask: IoRange, now: Duration) -> Vec<(Arc<Armed>, Result<(), Why>)> {
        let copies = self.armed().iter().map(|armed| Arc::new(armed.copy()));
        let copy = Self::of(copies.collect());
        let (end, decided) = copy.serve(ask, now);
        let pairs = self.armed().iter().zip(copy.armed());
        let answer = |(armed, copy): (&Arc<Armed>, &Arc<Armed>)| {
            let acts = copy.fired() > armed.fired();
            let why = || {
                self.verdict(armed, ask, now)?;
                // Its time may have passed while the request waited.
                self.verdict(armed, ask, end)?;
                Err(decided.clone().map_or(Why::Later, Why::Decided))
            };
            (Arc::clone(armed), if acts { Ok(()) } else { why() })
        };
        pairs.map(answer).collect()
    }

    /// Serves a request that waits as long as it may, and counts it. Returns when that was over, and
    /// the rule that decided, if one did.
    fn serve(&self, ask: IoRange, mut now: Duration) -> (Duration, Option<String>) {
        let mut seen = Seen::default();
        while let Some(wait) = self.wait(ask, now, &mut seen) {
            now += wait.time;
            if wait.is_hang && matches!(wait.then, Then::Error(_)) {
                return (now, Some(Armed::texts(&wait.rules)));
            }
        }
        let decision = self.outcome(ask, now, &mut seen).decision;
        let decided = decision.map(|(_, rule)| rule);
        let decided =
            decided.or_else(|| self.late_error(ask, now, &mut seen).map(|(_, rule)| rule));
        (now, decided.map(|rule| rule.rule.to_string()))
    }

    /// Whether the rule would act, were it asked.
    fn verdict(&self, armed: &Armed, ask: IoRange, now: Duration) -> Result<(), Why> {
        armed.matches(ask, now, self.is_awake(armed))?;
        armed.would_count()
    }
}
