//! A line of a stream, as its listeners keep it until it is read.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::decided::Decided;
use crate::fault::{Armed, IoRange};
use crate::protocol::{Answered, Completion, DecisionsLine, EventLine, Note, Noted, Verdict};

/// A line for listeners. That of a request fills one cache line: every request of a traced disk writes one.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) sequence: u64,
    /// When it happened, by the clock of dmesg.
    pub(super) time: Nanoseconds,
    pub(super) what: What,
}

/// A time in half the space of a [`Duration`]; centuries at most.
#[derive(Clone, Copy)]
pub(super) struct Nanoseconds(u64);

/// What it tells of.
#[derive(Clone)]
pub(super) enum What {
    Answered(Request),
    Noted(Arc<Note>),
    Event(Arc<EventLine>),
    Decided(Arc<Decided>),
    Remark(&'static str),
}

/// An answered request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) range: IoRange,
    pub(super) completion: Completion,
    pub(super) latency: Nanoseconds,
    /// Those that have acted on it; None without any.
    pub(super) rules: Option<Arc<Vec<Arc<Armed>>>>,
}

impl From<Duration> for Nanoseconds {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanoseconds> for Duration {
    fn from(time: Nanoseconds) -> Self {
        Self::from_nanos(time.0)
    }
}

impl Line {
    /// Adds it to `text`: as a line of `trace`, of `ctl/events`, or of `decisions`.
    pub(super) fn write_to(&self, text: &mut String) -> fmt::Result {
        match &self.what {
            What::Answered(request) => {
                request
                    .answered(self.sequence, self.time.into())
                    .write_to(text);
                Ok(())
            }
            What::Noted(note) => {
                let noted = Noted {
                    sequence: self.sequence,
                    time: self.time.into(),
                    note: Note::clone(note),
                };
                write!(text, "{noted}")
            }
            What::Event(event) => write!(text, "{event}"),
            What::Decided(decided) => write!(text, "{}", decided.line(self.sequence)),
            What::Remark(remark) => {
                write!(text, "{}", DecisionsLine::Remark((*remark).to_owned()))
            }
        }
    }
}

impl Request {
    fn answered(&self, sequence: u64, time: Duration) -> Answered<'_> {
        let (sector, count) = self.range.sectors();
        let rules = self.rules.as_ref().map_or(&[][..], |rules| rules);
        let effects = rules
            .iter()
            .filter_map(|armed| armed.rule.action.kind().effect());
        Answered {
            sequence,
            time,
            op: self.range.op,
            sector,
            count,
            verdict: Verdict {
                effects: effects.collect(),
                completion: self.completion,
            },
            latency: self.latency.into(),
            rules: Armed::texts(rules),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_a_request_fills_one_cache_line() {
        assert_eq!(size_of::<Line>(), 64);
    }
}
