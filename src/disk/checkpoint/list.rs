//! The checkpoints of a disk, and what belongs to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::error::CheckpointError;
use crate::disk::cache::SavedCache;
use crate::disk::path::snapshots::SavedSnapshots;
use crate::disk::rule_sets::SavedRules;
use crate::protocol::CutReport;
use crate::storage::{Frozen, LayerPair, LayeredImage};

/// The checkpoints of a disk.
#[derive(Default)]
pub(in crate::disk) struct Checkpoints {
    /// Oldest first.
    pub(super) all: Mutex<Vec<Arc<Checkpoint>>>,
    /// Held to save, return to and drop one.
    changing: Mutex<()>,
    /// Held while layers are united.
    uniting: Mutex<()>,
    /// Layers may be there that can be united.
    are_more: AtomicBool,
}

impl Checkpoints {
    /// Unites the layers of `image` that nobody needs. Returns at once while another thread does so, which looks again.
    pub(super) fn unite(&self, image: &LayeredImage) {
        self.are_more.store(true, Ordering::SeqCst);
        while self.are_more.load(Ordering::SeqCst) {
            let Some(_alone) = self.uniting.try_lock() else {
                return;
            };
            self.are_more.store(false, Ordering::SeqCst);
            while let Some(pair) = self.pair(image) {
                // For want of room, perhaps: they are tried again after the next change.
                if pair.unite().is_err() {
                    return;
                }
            }
        }
    }

    fn pair(&self, image: &LayeredImage) -> Option<LayerPair> {
        let _one_at_a_time = self.changing.lock();
        let all = self.all.lock().clone();
        let kept: Vec<_> = all.iter().map(|one| one.content.clone()).collect();
        image.pair(&kept)
    }

    /// Keeps others from saving, restoring or dropping one.
    pub(in crate::disk) fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

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
