//! What would become of a request, without doing it: a copy of the set serves it.

use std::sync::Arc;
use std::time::Duration;

use super::{Armed, Client, FaultSet, IoRange, RuleHits, Then, Why};

impl FaultSet {
    /// What would become of a guest's request at `now`: each rule, and the reason where it would not act.
    /// Counts nothing.
    pub fn explain(&self, range: IoRange, now: Duration) -> Vec<(Arc<Armed>, Result<(), Why>)> {
        let copies = self.armed().iter().map(|armed| Arc::new(armed.copy()));
        let copy = Self::of(copies.collect());
        let (end, decided) = copy.serve(range, now);
        let pairs = self.armed().iter().zip(copy.armed());
        let answer = |(armed, copy): (&Arc<Armed>, &Arc<Armed>)| {
            let acts = copy.acted() > armed.acted();
            let why = || {
                self.verdict(armed, range, now)?;
                // Its time may have passed while the request waited.
                self.verdict(armed, range, end)?;
                Err(decided.clone().map_or(Why::Counted, Why::Decided))
            };
            (Arc::clone(armed), if acts { Ok(()) } else { why() })
        };
        pairs.map(answer).collect()
    }

    /// Serves and counts a request, each wait of which lasts as long as it may. Returns the time at its
    /// end, and the rule that decided, if one did.
    fn serve(&self, range: IoRange, mut now: Duration) -> (Duration, Option<String>) {
        let mut hits = RuleHits::default();
        while let Some(wait) = self.wait(range, now, &mut hits) {
            now += wait.time;
            if wait.lanes.is_some() {
                wait.rules.iter().for_each(|rule| hits.take_lane(rule.id));
            }
            if wait.is_hang && matches!(wait.then, Then::Error(_)) {
                return (now, Some(Armed::texts(&wait.rules).into_owned()));
            }
        }
        let decision = self.outcome(range, now, &mut hits).decision;
        let decided = decision.map(|(_, rule)| rule);
        let decided =
            decided.or_else(|| self.late_error(range, now, &mut hits).map(|(_, rule)| rule));
        (now, decided.map(|rule| rule.rule.to_string()))
    }

    /// Whether the rule would act if it was asked about the request.
    fn verdict(&self, armed: &Armed, range: IoRange, now: Duration) -> Result<(), Why> {
        armed.is_for(Client::Guest)?;
        armed.matches(range, now, self.is_awake(armed))?;
        armed.would_count(range)
    }
}
