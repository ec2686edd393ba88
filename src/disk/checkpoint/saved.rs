//! What belongs to a checkpoint, and how the disk is made to be so again.

use super::CheckpointError;
use super::list::{Checkpoint, SavedFaults};
use crate::disk::device::Disk;
use crate::storage::Discarded;

impl Disk {
    /// The disk as it is now. No request is inside the gate.
    pub(super) fn saved(&self, name: &str, faults: bool) -> Result<Checkpoint, CheckpointError> {
        let content = self.image.below.freeze();
        Ok(Checkpoint {
            name: name.to_owned(),
            content: content.map_err(|cause| self.no_layer(cause))?,
            cache: self.image.saved(),
            power: self.power.off.lock().report,
            faults: faults.then(|| SavedFaults {
                rules: self.rules.saved(self.now()),
                snapshots: self.snapshots.saved(),
            }),
        })
    }

    /// Makes the disk what it was. No request is inside the gate; that its power is what it was is up to the caller, who
    /// has the gate. Returns what may take long to drop.
    pub(super) fn return_to(&self, checkpoint: &Checkpoint) -> Result<Discarded, CheckpointError> {
        if checkpoint.faults.is_none() {
            self.keep_for_stale_rules(checkpoint)?;
        }
        let discarded = self.image.below.return_to(&checkpoint.content);
        let discarded = discarded.map_err(|cause| self.no_layer(cause))?;
        self.image.return_to(&checkpoint.cache);
        if let Some(SavedFaults { rules, snapshots }) = &checkpoint.faults {
            let new = self.rules.returned(rules, self.now());
            self.snapshots.return_to(&new.faults, snapshots);
            new.arm();
        }
        self.power.off.lock().report = checkpoint.power;
        Ok(discarded)
    }

    /// Rules that show old data stay armed, and go on to show what there was.
    fn keep_for_stale_rules(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        if !self.snapshots.is_any() {
            return Ok(());
        }
        let stored = self.image.below.differences(&checkpoint.content);
        let pending = self.image.differences(&checkpoint.cache);
        for range in stored.into_iter().chain(pending) {
            let kept = self
                .snapshots
                .preserve(range.start, range.end - range.start);
            kept.map_err(CheckpointError::Stale)?;
        }
        Ok(())
    }

    fn no_layer(&self, cause: std::io::Error) -> CheckpointError {
        CheckpointError::Folder {
            folder: self.image.below.folder().path().display().to_string(),
            cause,
        }
    }
}
