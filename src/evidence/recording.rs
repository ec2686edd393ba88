//! What fired in a failed test, read from its folder: the faults that a replay makes again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::decision_lines::decisions;
use super::{ATTACHED_AGAIN, DISKS_FOLDER, DiskEvidence, TEST_FILE, TestRecord};
use crate::fault::{Replayed, replay_in_place};
use crate::protocol::DecisionLine;

/// What fired in a failed test.
#[derive(Debug)]
pub struct Recording {
    /// The test.
    pub test: TestRecord,
    disks: Vec<Recorded>,
    /// Lines of its streams that are no decisions: what could not be recorded.
    pub remarks: Vec<String>,
}

/// The decisions of a disk.
#[derive(Debug)]
struct Recorded {
    /// `VM.ID`, or `VM.ID#N` where one of this name was attached for the Nth time.
    name: String,
    decisions: Vec<DecisionLine<'static>>,
}

/// A folder that is no recording.
#[derive(Debug, thiserror::Error)]
#[error("{} is not the folder of a recorded test: {cause}", folder.display())]
pub struct RecordingError {
    folder: PathBuf,
    cause: io::Error,
}

impl Recording {
    /// Reads the folder of a recorded test.
    pub fn read(folder: &Path) -> Result<Self, RecordingError> {
        let failed = |cause| RecordingError {
            folder: folder.to_owned(),
            cause,
        };
        let test = TestRecord::read(folder).map_err(|error| {
            let what = format!("{TEST_FILE}: {error}");
            failed(io::Error::new(error.kind(), what))
        })?;
        let disks = folder.join(DISKS_FOLDER).read_dir().map_err(failed)?;
        let mut paths: Vec<_> = disks.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut recording = Self {
            test,
            disks: Vec::new(),
            remarks: Vec::new(),
        };
        for path in paths {
            recording.add(&DiskEvidence::read(&path).map_err(failed)?);
        }
        Ok(recording)
    }

    /// Adds the disks of one name.
    fn add(&mut self, disk: &DiskEvidence) {
        let name = disk.name();
        let each = disk.decisions.split(|line| line == ATTACHED_AGAIN);
        for (number, lines) in (1..).zip(each) {
            self.disks.push(Recorded {
                name: nth(&name, number),
                decisions: decisions(lines),
            });
        }
        let remarks = disk
            .decisions
            .iter()
            .filter(|line| line.starts_with('#') && *line != ATTACHED_AGAIN);
        self.remarks
            .extend(remarks.map(|line| format!("{name}: {}", line.trim_start_matches("# "))));
    }

    /// How many faults there are that a replay can make again.
    pub fn faults(&self) -> usize {
        self.all().count()
    }

    /// How many faults were recorded.
    pub fn fired(&self) -> usize {
        self.disks.iter().map(|disk| disk.decisions.len()).sum()
    }

    /// The sentences about these faults: where they are, and why a replay may differ.
    pub fn describe(&self, chosen: &[usize]) -> Vec<String> {
        let all: Vec<_> = self.all().collect();
        let places = chosen.iter().filter_map(|at| all.get(*at));
        let describe = |(disk, at): &(usize, usize)| {
            let Recorded { name, decisions } = &self.disks[*disk];
            let DecisionLine {
                op,
                sector,
                count,
                touch,
                rule,
                note,
                ..
            } = &decisions[*at];
            let touch = touch.unwrap_or_default();
            let note = note
                .as_ref()
                .map_or(String::new(), |note| format!(" ({note})"));
            format!("{name}: {op} {sector} {count}, touch {touch}, by `{rule}`{note}")
        };
        places.map(describe).collect()
    }

    /// The rules that make these faults again, in the place of those that acted: by disk.
    pub fn replay(&self, chosen: &[usize]) -> BTreeMap<String, BTreeMap<u64, Replayed>> {
        let all: Vec<_> = self.all().collect();
        let chosen: Vec<_> = chosen.iter().filter_map(|at| all.get(*at)).collect();
        let disks = self.disks.iter().enumerate();
        disks
            .map(|(place, disk)| {
                let is_chosen = |at| chosen.binary_search(&&(place, at)).is_ok();
                (
                    disk.name.clone(),
                    replay_in_place(&disk.decisions, is_chosen),
                )
            })
            .collect()
    }

    /// The places of the faults that can be made again: of the disk, and of the decision.
    fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        let disks = self.disks.iter().enumerate();
        disks.flat_map(|(place, disk)| {
            let decisions = disk.decisions.iter().enumerate();
            let can_be_made = decisions.filter(|(_, decision)| decision.replay.is_some());
            can_be_made.map(move |(at, _)| (place, at))
        })
    }
}

/// The name of the Nth disk with a name.
fn nth(name: &str, number: u32) -> String {
    match number {
        1 => name.to_owned(),
        _ => format!("{name}#{number}"),
    }
}
