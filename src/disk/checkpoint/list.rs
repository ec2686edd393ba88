//! The checkpoints of a disk, and what belongs to each.

use std::sync::Arc;

use parking_lot::Mutex;

use super::error::CheckpointError;
use crate::disk::cache::SavedCache;
use crate::disk::path::snapshots::SavedSnapshots;
use crate::disk::rule_sets::SavedRules;
use crate::protocol::CutReport;
use crate::storage::Frozen;

/// The checkpoints of a disk.
#[derive(Default)]
pub(in crate::disk) struct Checkpoints {
    /// Oldest first.
    pub(super) all: Mutex<Vec<Arc<Checkpoint>>>,
    /// Held to save, return to and drop one.
    pub(super) changing: Mutex<()>,
}

impl Checkpoints {
    pub(super) fn names(&self) -> Vec<String> {
        let all = self.all.lock();
        all.iter().map(|one| one.name.clone()).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Checkpoint>> {
        let all = self.all.lock();
        all.iter().find(|one| one.name == name).cloned()
    }

    pub(super) fn known(&self, name: &str) -> Result<Arc<Checkpoint>, CheckpointError> {
        self.find(name).ok_or_else(|| {
            let names = self.names();
            CheckpointError::Unknown {
                name: name.to_owned(),
                saved: match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                },
            }
        })
    }
}

/// A moment of a disk.
pub(super) struct Checkpoint {
    pub(super) name: String,
    pub(super) content: Frozen,
    pub(super) cache: SavedCache,
    /// The cut since which the power was off; None while it was on.
    pub(super) power: Option<CutReport>,
    pub(super) faults: Option<SavedFaults>,
}

/// The rules, and what they had to know.
pub(super) struct SavedFaults {
    pub(super) rules: SavedRules,
    pub(super) snapshots: SavedSnapshots,
}
