//! The order for the process of a test file, one JSON object.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::units::text;

/// The orders for one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Only list the tests.
    pub list: bool,
    /// Run these tests in this order; without it, all in the order of the file.
    pub only: Option<Vec<String>>,
    /// Run the slow ones too.
    pub include_slow: bool,
    /// Run no further test after this many failures.
    pub stop_after: Option<usize>,
    /// Keep the VMs of a test that fails.
    pub keep: bool,
    /// Boot every guest, even where a saved state could be resumed.
    pub cold: bool,
    /// Seconds that a test without a timeout of its own may take.
    pub timeout: f64,
    /// What tests leave, and where.
    pub evidence: EvidenceOrder,
    /// The faults that tests meet in the place of those of their rules.
    pub replay: Option<Replay>,
}

/// Recorded faults by disk, as `VM.ID`, or `VM.ID#N` where one of this name is attached for the Nth time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Replay(pub BTreeMap<String, BTreeMap<u64, ReplayedRule>>);

/// A rule, by its number among the edits of the disk's rules from 0, and the rules that are armed in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedRule {
    /// The rule, as a trace shows it.
    pub rule: String,
    /// Those that make its faults again.
    pub faults: Vec<String>,
}

/// What tests leave for those who look at them afterwards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceOrder {
    /// The folder for the folders of tests that go with the run; None without evidence.
    pub scratch: Option<PathBuf>,
    /// The folder for the folders of failed tests that stay.
    pub artifacts: Option<PathBuf>,
    /// The folder for the folders with what fired in failed tests.
    pub faults: Option<PathBuf>,
    /// Tests that pass leave a folder too, and every folder is as complete as one that stays.
    pub all: bool,
    /// The round, from 1.
    pub round: u32,
    /// The number of the try, from 1.
    pub attempt: u32,
    /// The words that run the file again, without the file.
    pub command: Vec<String>,
    /// The seed of the order of a shuffled run.
    pub shuffle: Option<u64>,
}

impl EvidenceOrder {
    /// Whether it is recorded what fires.
    pub fn records_faults(&self) -> bool {
        self.faults.is_some() || self.artifacts.is_some()
    }

    /// The outcome of a test, with the folder that it leaves if that stays after the run, and a remark on its faults.
    pub fn named(&self, outcome: Outcome, folder: Option<&Path>, faults: Option<&str>) -> Outcome {
        let Outcome::Failed { mut message } = outcome else {
            return outcome;
        };
        if let Some(folder) = folder.filter(|_| self.artifacts.is_some()) {
            message += &format!("\nkept in {}", text::path(folder));
        }
        if let Some(faults) = faults {
            message += &format!("\n{faults}");
        }
        Outcome::Failed { message }
    }
}
