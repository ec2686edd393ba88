//! The end of a disk: its image gets all that the disk holds.

use tracing::warn;

use super::device::Disk;
use crate::protocol::Errno;
use crate::storage::Image;

/// Why an image lacks something that its disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsaved {
    /// What is pending cannot be made durable.
    #[error("its pending data cannot be made durable: {0}")]
    Pending(Errno),
    /// What its layers hold cannot be written.
    #[error("what it holds since its checkpoints were saved cannot be written to its image: {0}")]
    Layers(Errno),
}

impl Unsaved {
    pub(super) fn errno(self) -> Errno {
        match self {
            Self::Pending(errno) | Self::Layers(errno) => errno,
        }
    }
}

impl Disk {
    /// Puts all that the disk holds into its image, and forgets its checkpoints. No request is under way. Nothing to do for
    /// a disk whose changes are gone at the end.
    ///
    /// After an error its checkpoints are as they were if it `goes_on`.
    pub(super) fn save_all(&self, goes_on: bool) -> Result<(), Unsaved> {
        if self.is_read_only() || self.image.below.is_scratch() {
            return Ok(());
        }
        let _one_at_a_time = self.checkpoints.lock();
        self.settle_pending().map_err(Unsaved::Pending)?;
        let written = self.image.below.write_back(goes_on);
        written.map_err(|error| Unsaved::Layers(Errno::of(&error.cause)))?;
        self.forget_checkpoints();
        Ok(())
    }

    /// Whether its image lacks what the disk holds since a checkpoint was saved.
    pub fn has_more_than_its_image(&self) -> bool {
        self.image.below.has_layers() && !self.image.below.is_scratch()
    }

    /// Best effort: a host that cannot flush any more has told the writers so already.
    pub(super) fn flush_image(&self) {
        if self.is_read_only() {
            return;
        }
        if let Err(error) = self.image.below.flush(false) {
            warn!("{}: the image cannot be flushed: {error}", self.id());
        }
    }
}
