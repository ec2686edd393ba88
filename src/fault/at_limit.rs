//! A request that has come to a limit: what it still waits for.

use std::sync::Arc;
use std::time::Duration;

use super::{Armed, Limit};

/// A request at a limit.
#[derive(Clone, Debug)]
pub(super) struct AtLimit {
    pub(super) rule: Arc<Armed>,
    len: u64,
    /// From when on it may pass.
    start: Duration,
    is_past: bool,
    pub(super) has_lane: bool,
}

impl AtLimit {
    /// A request of `len` bytes that may pass the limit of `rule` from `start` on.
    pub(super) fn new(rule: &Arc<Armed>, len: u64, start: Duration) -> Self {
        Self {
            rule: Arc::clone(rule),
            len,
            start,
            is_past: false,
            has_lane: false,
        }
    }

    /// What it waits for at `now`, if it still does: a time, or else one of so many lanes.
    pub(super) fn wait(&mut self, limit: &Limit, now: Duration) -> Option<(Duration, Option<u64>)> {
        let time = self.start.saturating_sub(now);
        if !time.is_zero() {
            return Some((time, None));
        }
        if !self.is_past {
            self.is_past = true;
            self.rule.pace().passed(now);
        }
        let lanes = limit.lanes.filter(|_| !self.has_lane)?;
        Some((Duration::ZERO, Some(lanes)))
    }

    /// The request is over. What it would have taken, had it passed, is free.
    pub(super) fn leave(&self) {
        if !self.is_past {
            self.rule.pace().give_back(self.len);
        }
    }
}
