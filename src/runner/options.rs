//! How to run, and what of each file.

use std::path::PathBuf;
use std::time::Duration;

use crate::events::{EvidenceOrder, Order};

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration; searched for without it.
    pub config: Option<PathBuf>,
    /// How long a test without a timeout of its own may take.
    pub timeout: Duration,
    /// How long a file may take.
    pub file_timeout: Option<Duration>,
    /// How long a test runs until it is called slow, and each time again.
    pub slow_after: Duration,
    /// How many files run at a time.
    pub jobs: usize,
    /// Bytes of memory that must be available to start a file beside others.
    pub memory: u64,
    /// How many failures stop the run.
    pub max_fail: Option<usize>,
    /// How often a failed test is tried again.
    pub retries: u32,
    /// Whether slow tests run.
    pub include_slow: bool,
    /// Whether the VMs of failed tests stay.
    pub keep: bool,
    /// Whether every guest boots, instead of resuming a saved state.
    pub cold: bool,
    /// What tests leave; the round and the try are filled in.
    pub evidence: EvidenceOrder,
}

impl RunOptions {
    pub(super) fn order(&self, only: Option<Vec<String>>) -> Order {
        Order {
            list: false,
            only,
            include_slow: self.include_slow,
            stop_after: None,
            keep: self.keep,
            cold: self.cold,
            timeout: self.timeout.as_secs_f64(),
            evidence: self.evidence.clone(),
            replay: None,
        }
    }
}

/// A file to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file.
    pub file: PathBuf,
    /// The number of the round, from 1.
    pub round: u32,
    /// Which of its tests.
    pub tests: Tests,
}

/// Which tests of a file run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tests {
    /// All, as they are written.
    All,
    /// These, in this order.
    Only(Vec<String>),
    /// None: the file could not be read, for this reason.
    Broken(String),
}

impl Tests {
    /// Their names, if they are known.
    pub(super) fn names(&self) -> Option<&[String]> {
        match self {
            Self::Only(names) => Some(names),
            Self::All | Self::Broken(_) => None,
        }
    }
}
