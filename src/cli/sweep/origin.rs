//! Where a sweep goes back to: a checkpoint of the disk, or what a command makes of it.

use super::options::Plan;
use crate::client::{ClientError, DiskControl};
use crate::protocol::CheckpointCommand;
use crate::sweep::TAG;

/// A checkpoint of a disk. When this is dropped, the disk is what it was, and the checkpoint is gone.
pub(super) struct Origin {
    disk: DiskControl,
    is_saved: bool,
}

impl Origin {
    /// Saves the disk as it is now, unless a command resets it.
    pub(super) fn save(plan: &Plan) -> anyhow::Result<Self> {
        let disk = plan.disk.clone();
        let mut origin = Self {
            disk,
            is_saved: false,
        };
        if plan.reset.is_none() {
            origin.must_be_free()?;
            let (name, faults) = (TAG.to_owned(), true);
            origin
                .disk
                .checkpoint(&CheckpointCommand::Save { name, faults })?;
            origin.is_saved = true;
        }
        Ok(origin)
    }

    fn must_be_free(&self) -> anyhow::Result<()> {
        if !self.disk.checkpoints()?.iter().any(|name| name == TAG) {
            return Ok(());
        }
        let disk = self.disk.path();
        let disk = disk.display();
        anyhow::bail!(
            "{disk} has the checkpoint `{TAG}`: another sweep goes on, or one was killed; then `provium checkpoint \
             {disk} restore {TAG}` makes the disk what it was, and `drop {TAG}` forgets that"
        )
    }

    /// Whether there is a checkpoint.
    pub(super) fn is_saved(&self) -> bool {
        self.is_saved
    }

    /// Makes the disk what it was.
    pub(super) fn restore(&self) -> Result<(), ClientError> {
        let name = TAG.to_owned();
        self.disk.checkpoint(&CheckpointCommand::Restore { name })
    }

    /// Makes the disk what it was, for good.
    pub(super) fn end(&mut self) -> Result<(), ClientError> {
        if !std::mem::take(&mut self.is_saved) {
            return Ok(());
        }
        let restored = self.restore();
        let name = TAG.to_owned();
        let dropped = self.disk.checkpoint(&CheckpointCommand::Drop { name });
        restored.and(dropped)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
