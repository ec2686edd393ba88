//! A line of a stream, as its listeners keep it until it is read.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::decided::Decided;
use crate::fault::{Armed, IoRange};
use crate::protocol::{Answered, Completion, DecisionsLine, EventLine, Note, Noted, Verdict};

/// A line for listeners.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) sequence: u64,
    /// When it happened, by the clock of dmesg.
    pub(super) time: Duration,
    pub(super) what: What,
}

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
    pub(super) latency: Duration,
    pub(super) rules: Vec<Arc<Armed>>,
}

impl Line {
    /// Adds it to `text`: as a line of `trace`, of `ctl/events`, or of `decisions`.
    pub(super) fn write_to(&self, text: &mut String) -> fmt::Result {
        match &self.what {
            What::Answered(request) => {
                request.answered(self.sequence, self.time).write_to(text);
                Ok(())
            }
            What::Noted(note) => {
                let noted = Noted {
                    sequence: self.sequence,
                    time: self.time,
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
        let rules = self.rules.iter();
        let effects = rules.filter_map(|armed| armed.rule.action.kind().effect());
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
            latency: self.latency,
            rules: Armed::texts(&self.rules),
        }
    }
}
