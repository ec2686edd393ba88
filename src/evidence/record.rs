//! `test.json` and `disk.json`: what is known of a test and of its disks.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{DISK_FILE, TEST_FILE};

/// How a test ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// Its file leaves it out.
    Skipped,
    /// It did not start, or was stopped with the run.
    #[default]
    NotRun,
}

/// One try of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestRecord {
    /// The file, as the run names it.
    pub file: String,
    /// The line that declares the test, from 1; 0 if it is not known.
    pub line: u32,
    /// The name of the test.
    pub name: String,
    /// The words to select it by.
    pub tags: Vec<String>,
    /// The round, from 1.
    pub round: u32,
    /// The number of the try, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: TestOutcome,
    /// How long it took.
    pub seconds: f64,
    /// When it began, in seconds of the clock of dmesg, as in a trace.
    pub began: f64,
    /// When it ended, by the same clock.
    pub ended: f64,
    /// Why it failed, was skipped or was not run; empty for one that passed.
    pub message: String,
    /// The versions of `provium`, `qemu` and the guest's `kernel`, as far as they are known.
    pub versions: BTreeMap<String, String>,
    /// The seeds of all that was random.
    pub seeds: Seeds,
    /// The command line that runs the test again.
    pub command: String,
}

/// The seeds of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seeds {
    /// The seed of each disk, by the name of its folder: rules without `seed=` draw from it.
    pub rules: BTreeMap<String, u64>,
    /// The seed of the order of a shuffled run.
    pub shuffle: Option<u64>,
}

/// A disk of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskRecord {
    /// Its ID.
    pub id: String,
    /// The VM that has it; None for a disk without one.
    pub vm: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its image.
    pub image: String,
    /// The seed of rules without `seed=`.
    pub seed: u64,
    /// What its control file `cache` says.
    pub cache: String,
}

impl TestRecord {
    /// Reads the record of a test's folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(TEST_FILE))?)?)
    }

    /// Writes it to a test's folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(TEST_FILE), serde_json::to_vec_pretty(self)?)
    }
}

impl DiskRecord {
    /// Reads the record of a disk's folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(DISK_FILE))?)?)
    }

    /// Writes it to a disk's folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(DISK_FILE), serde_json::to_vec_pretty(self)?)
    }
}
