//! What the page knows of each test before a person looks at one: enough for the list and its filters.

use std::time::SystemTime;

use serde::Serialize;

use super::detail::Detail;
use super::lines::plain_line;
use super::pack::Place;
use super::run::Run;
use super::trace::Strings;
use crate::evidence::TestOutcome;

/// Of a longer message this many characters are in the list, and found by a search.
const MESSAGE_HEAD: usize = 400;

/// The tests in columns, one entry for each try.
#[derive(Serialize)]
pub(super) struct Index {
    version: &'static str,
    command: String,
    /// In milliseconds since 1970.
    began: u64,
    monotonic_began: f64,
    seconds: f64,
    /// Names of files, tests and tags, and messages.
    strings: Strings,
    file: Vec<usize>,
    line: Vec<u32>,
    name: Vec<usize>,
    tags: Vec<Vec<usize>>,
    round: Vec<u32>,
    attempt: Vec<u32>,
    outcome: Vec<TestOutcome>,
    /// To the millisecond.
    seconds_taken: Vec<f64>,
    message: Vec<usize>,
    /// The block with the rest, and the place in it.
    block: Vec<usize>,
    slot: Vec<usize>,
}

impl Index {
    pub(super) fn new(run: &Run) -> Self {
        let began = run.began.duration_since(SystemTime::UNIX_EPOCH);
        let began = began.map_or(0, |time| time.as_millis());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: plain_line(&run.command),
            began: u64::try_from(began).unwrap_or(0),
            monotonic_began: run.monotonic_began,
            seconds: run.seconds,
            strings: Strings::default(),
            file: Vec::new(),
            line: Vec::new(),
            name: Vec::new(),
            tags: Vec::new(),
            round: Vec::new(),
            attempt: Vec::new(),
            outcome: Vec::new(),
            seconds_taken: Vec::new(),
            message: Vec::new(),
            block: Vec::new(),
            slot: Vec::new(),
        }
    }

    /// Adds a test whose rest is at `place`.
    pub(super) fn add(&mut self, detail: &Detail, place: Place) {
        let test = &detail.record;
        let head: String = test.message.chars().take(MESSAGE_HEAD).collect();
        let strings = &mut self.strings;
        self.file.push(strings.number(&test.file));
        self.line.push(test.line);
        self.name.push(strings.number(&test.name));
        self.tags
            .push(test.tags.iter().map(|tag| strings.number(tag)).collect());
        self.round.push(test.round);
        self.attempt.push(test.attempt);
        self.outcome.push(test.outcome);
        self.seconds_taken
            .push((test.seconds * 1000.0).round() / 1000.0);
        self.message.push(strings.number(&head));
        self.block.push(place.block);
        self.slot.push(place.slot);
    }
}
