//! A decision, as the readers of `decisions` get it.

use std::sync::Arc;
use std::time::Duration;

use super::touches::Touch;
use crate::fault::{Armed, IoRange, Rule};
use crate::protocol::DecisionLine;

/// A decision, for readers.
pub(super) struct Decided {
    pub(super) time: Duration,
    pub(super) range: IoRange,
    pub(super) touch: Touch,
    pub(super) rule: Arc<Armed>,
    pub(super) replay: Option<Rule>,
    pub(super) note: Option<&'static str>,
}

impl Decided {
    /// Its line, with its number among the lines.
    pub(super) fn line(&self, sequence: u64) -> DecisionLine<'_> {
        let (sector, count) = self.range.sectors();
        DecisionLine {
            sequence,
            time: self.time,
            op: self.range.op,
            sector,
            count,
            touch: self.touch.number,
            rule_id: self.rule.id,
            since: self.touch.since,
            rule: self.rule.short_text(),
            replay: self.replay.as_ref().map(|rule| rule.to_string().into()),
            note: self.note.map(Into::into),
        }
    }
}
