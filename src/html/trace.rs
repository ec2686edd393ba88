//! The trace of a disk in columns: one list for each field, which are short when they are compressed.

use std::collections::HashMap;

use serde::Serialize;

use super::lines::{Lines, plain_line};
use crate::protocol::{Answered, DiskEvent, InFlightLine, NO_RULES, Note, Noted, TraceLine};

/// Texts that come often, each once.
#[derive(Default)]
pub(super) struct Strings {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Strings {
    /// The number of `text`.
    pub(super) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len();
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }
}

impl Serialize for Strings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.texts.serialize(serializer)
    }
}

/// The requests of a disk, in the order of its trace.
#[derive(Default, Serialize)]
pub(super) struct Requests {
    /// The names of operations, verdicts and rules.
    strings: Strings,
    /// When each was answered: microseconds after the one before it, the first after 0 of the clock of dmesg.
    at: Vec<i64>,
    op: Vec<usize>,
    sector: Vec<u64>,
    /// In sectors.
    count: Vec<u64>,
    verdict: Vec<usize>,
    /// In microseconds.
    latency: Vec<u64>,
    rules: Vec<usize>,
    #[serde(skip)]
    last: i64,
}

/// What a trace has between requests. Times are seconds of the clock of dmesg.
#[derive(Default, Serialize)]
pub(super) struct Notes {
    at: Vec<f64>,
    /// `mark`, `cut`, `on` or `event`.
    kind: Vec<&'static str>,
    text: Vec<String>,
}

/// The trace of a disk.
#[derive(Default, Serialize)]
pub(super) struct Trace {
    requests: Requests,
    notes: Notes,
    /// How many lines its reader was too slow for.
    lost: u64,
    /// How many lines could not be read.
    pub(super) bad: usize,
}

/// Requests that have no answer. Times are in microseconds.
#[derive(Default, Serialize)]
pub(super) struct InFlight {
    op: Vec<&'static str>,
    sector: Vec<u64>,
    count: Vec<u64>,
    age: Vec<u64>,
    rules: Vec<String>,
}

impl Trace {
    pub(super) fn of(lines: &Lines) -> Self {
        let mut trace = Self::default();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            match line.parse() {
                Ok(TraceLine::Answered(answered)) => trace.requests.add(&answered),
                Ok(TraceLine::Noted(noted)) => trace.notes.add(&noted),
                Ok(TraceLine::Lost(number)) => trace.lost = trace.lost.saturating_add(number),
                Err(_) => trace.bad += 1,
            }
        }
        trace
    }
}

impl Requests {
    fn add(&mut self, answered: &Answered<'_>) {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(0);
        let at = i64::try_from(micros(answered.time)).unwrap_or(0);
        self.at.push(at - self.last);
        self.last = at;
        self.op.push(self.strings.number(answered.op.name()));
        self.sector.push(answered.sector);
        self.count.push(answered.count);
        let verdict = answered.verdict.to_string();
        self.verdict.push(self.strings.number(&verdict));
        self.latency.push(micros(answered.latency));
        let rules = match &*answered.rules {
            NO_RULES => String::new(),
            rules => plain_line(rules),
        };
        self.rules.push(self.strings.number(&rules));
    }
}

impl Notes {
    fn add(&mut self, noted: &Noted) {
        let kind = match &noted.note {
            Note::Mark(_) => "mark",
            Note::Disk(DiskEvent::Cut(..)) => "cut",
            Note::Disk(DiskEvent::On) => "on",
            Note::Disk(
                DiskEvent::Evicted { .. } | DiskEvent::Checkpoint(_) | DiskEvent::LogStopped(_),
            ) => "event",
        };
        let text = match &noted.note {
            Note::Mark(text) => plain_line(text),
            Note::Disk(event) => plain_line(&event.to_string()),
        };
        self.at.push(noted.time.as_secs_f64());
        self.kind.push(kind);
        self.text.push(text);
    }
}

impl InFlight {
    /// The requests of `lines`, and how many lines are something else.
    pub(super) fn of(lines: &Lines) -> (Self, usize) {
        let (mut all, mut bad) = (Self::default(), 0);
        for line in lines.iter().filter(|line| !line.is_empty()) {
            let Ok(one) = line.parse::<InFlightLine<'_>>() else {
                bad += 1;
                continue;
            };
            all.op.push(one.op.name());
            all.sector.push(one.sector);
            all.count.push(one.count);
            all.age
                .push(u64::try_from(one.age.as_micros()).unwrap_or(0));
            all.rules.push(plain_line(one.waits_for().unwrap_or("")));
        }
        (all, bad)
    }
}
