//! The events of a run. The process of a test file sends them to the runner, one JSON object a line;
//! the runner adds its own. Schema: docs/events.schema.json.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sweep::Point;
use crate::units::text::{deserialize_path, serialize_path};

/// A test, as its file declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestInfo {
    /// Its name, unique in its file.
    pub name: String,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// The line that declares it, from 1; 0 if it is not known.
    #[serde(default)]
    pub line: u32,
}

/// Something that happened in a test file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The file has been read; these of its tests will run, in this order.
    Planned {
        /// The tests.
        tests: Vec<TestInfo>,
    },
    /// A test begins.
    Started {
        /// Its name.
        test: String,
        /// Seconds that it may take.
        timeout: f64,
    },
    /// A test has been running for long.
    Slow {
        /// Its name.
        test: String,
        /// For how long, in seconds.
        seconds: f64,
        /// The request that has been held for longest, in a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<String>,
        /// The ends of its guests' consoles.
        consoles: String,
    },
    /// The file's process has not ended although its time is up; it gets a signal.
    Signalled {
        /// `TERM` or `KILL`.
        signal: String,
        /// The ends of its guests' consoles.
        consoles: String,
    },
    /// A test has failed and will be tried again, with fresh VMs.
    Retried {
        /// Its name.
        test: String,
        /// The number of the try that failed, from 1.
        attempt: u32,
        /// How it failed.
        message: String,
        /// How long that took.
        seconds: f64,
        /// The folder that it leaves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<PathBuf>,
    },
    /// A test has ended.
    Finished {
        /// Its name.
        test: String,
        /// How it ended.
        #[serde(flatten)]
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
        /// How often it was tried: 0 if it never started. A test that passed after several tries is
        /// flaky.
        attempts: u32,
        /// The folder that it leaves, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<PathBuf>,
    },
    /// The file itself failed: it does not parse, or it raised an error or its process ended outside of
    /// its tests.
    FileFailed {
        /// Why.
        message: String,
        /// The folder that it leaves, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<PathBuf>,
    },
    /// The run was stopped before the file.
    FileNotRun {
        /// Why.
        reason: String,
    },
    /// A VM was created.
    Vm {
        /// Its name.
        name: String,
        /// Where its console is logged.
        #[serde(
            serialize_with = "serialize_path",
            deserialize_with = "deserialize_path"
        )]
        console: PathBuf,
    },
    /// The VMs of a failed test stay, until this process is told to end.
    Kept {
        /// The process that holds them.
        process: u32,
        /// The VMs.
        vms: Vec<KeptVm>,
    },
    /// Something that takes long is made once for all later runs, as a template of an image. The time limits stand
    /// still meanwhile. Comes about every second.
    Preparing {
        /// What is done.
        what: String,
        /// How much of it, in percent. None while another process does it.
        percent: Option<f64>,
        /// Whether nothing was told of it before.
        is_first: bool,
        /// For how many seconds the limits stood still since it was told last.
        passed: f64,
    },
    /// A run of a sweep has ended, in which one request failed.
    SweepPoint {
        /// The disk.
        disk: String,
        /// The fault.
        fault: String,
        /// How many runs are over, with this one.
        done: u64,
        /// How many there are.
        of: u64,
        /// The request, and what became of the run.
        #[serde(flatten)]
        point: Point,
    },
    /// A sweep has ended.
    Swept {
        /// The disk.
        disk: String,
        /// The fault.
        fault: String,
        /// How many requests match it.
        requests: u64,
        /// How many runs there were.
        points: u64,
        /// Those that failed.
        failed: Vec<u64>,
        /// What a reader of the verdicts should know.
        notes: Vec<String>,
        /// How long it took.
        seconds: f64,
    },
    /// `t:log`.
    Log {
        /// The text.
        text: String,
    },
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It did not run, because its file says so.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It failed.
    Failed {
        /// The Lua error, and what the test's disks and consoles have to say.
        message: String,
    },
    /// It did not run, because the run was stopped, or because its file's process ended in an earlier
    /// test.
    NotRun {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Why a test failed; None if it did not.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed { message } => Some(message),
            Self::Passed | Self::Skipped { .. } | Self::NotRun { .. } => None,
        }
    }
}

/// A VM that outlives its test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVm {
    /// Its name.
    pub name: String,
    /// Its run-time folder: `mnt`, `console.log`, `qemu.log`, and the socket `console.sock`.
    #[serde(
        serialize_with = "serialize_path",
        deserialize_with = "deserialize_path"
    )]
    pub folder: PathBuf,
}
