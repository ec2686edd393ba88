//! What a test file's process tells the runner, one JSON object a line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something that happened in a test file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The file has been read; these are its tests, in the order in which they run.
    Planned {
        /// Their names.
        tests: Vec<String>,
    },
    /// A test begins.
    Started {
        /// Its name.
        test: String,
        /// Seconds that it may take.
        timeout: f64,
    },
    /// A test has ended.
    Finished {
        /// Its name.
        test: String,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
    },
    /// The file itself failed: it does not parse, or raised outside of its tests.
    FileFailed {
        /// Why.
        message: String,
    },
    /// A VM was created.
    Vm {
        /// Its name.
        name: String,
        /// Where its console is logged.
        console: PathBuf,
    },
    /// `t:log`.
    Log {
        /// What the test said.
        text: String,
    },
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not at all, for this reason.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Badly.
    Failed {
        /// The Lua error, and the end of the guests' consoles.
        message: String,
    },
}
