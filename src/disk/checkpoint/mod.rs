//! Checkpoints of a disk: what it held at a moment, what was pending then, its power, and perhaps its rules.
//!
//! They are saved and returned to while no request is inside the gate of the disk's power, and nothing pending becomes
//! durable. What the disk held is kept by [layers](crate::storage::LayeredImage).

mod error;
pub(super) mod list;
mod saved;

use std::sync::Arc;
use std::time::Instant;

use super::device::Disk;
use super::power::PowerError;
use super::power::gate::Parked;
use super::power::state::LEAVING;
use crate::fault::Then;
use crate::protocol::{CheckpointCommand, DiskEvent, Errno};
pub use error::CheckpointError;

impl Disk {
    /// Saves, returns to, or drops a checkpoint. Waits for requests that are in their I/O: not for a loop thread.
    pub fn checkpoint(
        self: &Arc<Self>,
        command: &CheckpointCommand,
    ) -> Result<(), CheckpointError> {
        let one_at_a_time = self.checkpoints.lock();
        match command {
            CheckpointCommand::Save { name, faults } => self.save_checkpoint(name, *faults),
            CheckpointCommand::Restore { name } => self.restore_checkpoint(name),
            CheckpointCommand::Drop { name } => self.drop_checkpoint(name),
        }?;
        drop(one_at_a_time);
        self.unite_layers();
        self.tell(DiskEvent::Checkpoint(command.clone()));
        Ok(())
    }

    /// The names of its checkpoints, oldest first.
    pub fn checkpoints(&self) -> Vec<String> {
        self.checkpoints.names()
    }

    /// Bytes that its layers take on the host.
    pub fn layer_bytes(&self) -> u64 {
        if !self.image.below.has_layers() {
            return 0;
        }
        let all = self.checkpoints.all.lock().clone();
        self.image
            .below
            .layer_bytes(all.iter().map(|one| &one.content))
    }

    fn save_checkpoint(self: &Arc<Self>, name: &str, faults: bool) -> Result<(), CheckpointError> {
        if self.checkpoints.find(name).is_some() {
            return Err(CheckpointError::Taken(name.to_owned()));
        }
        if self.shares {
            return Err(CheckpointError::Shared);
        }
        self.at_a_moment(|| {
            let checkpoint = self.saved(name, faults)?;
            self.checkpoints.all.lock().push(Arc::new(checkpoint));
            Ok((self.has_power(), ()))
        })
    }

    fn restore_checkpoint(self: &Arc<Self>, name: &str) -> Result<(), CheckpointError> {
        let checkpoint = self.checkpoints.known(name)?;
        let discarded = self.at_a_moment(|| {
            if self.log.is_on() {
                return Err(CheckpointError::Logged);
            }
            let discarded = self.return_to(&checkpoint)?;
            // They come from a future that is gone.
            let failed = Then::Error(Errno::EIO);
            self.delays.release(self.owner, failed, |_| true);
            let _ = self.size();
            self.mains.has_changed(self);
            Ok((checkpoint.power.is_none(), discarded))
        })?;
        self.delays.pool().run(self.owner, move || drop(discarded));
        Ok(())
    }

    fn drop_checkpoint(self: &Arc<Self>, name: &str) -> Result<(), CheckpointError> {
        let checkpoint = self.checkpoints.known(name)?;
        let is_last = self.checkpoints.all.lock().len() == 1;
        let written = match is_last && self.has_more_than_its_image() {
            true => self.write_layers_back(),
            false => Ok(()),
        };
        if let Ok(()) | Err(CheckpointError::Lost(_)) = &written {
            let mut all = self.checkpoints.all.lock();
            all.retain(|one| !Arc::ptr_eq(one, &checkpoint));
            drop(all);
            self.delays.pool().run(self.owner, move || drop(checkpoint));
        }
        written
    }

    fn write_layers_back(self: &Arc<Self>) -> Result<(), CheckpointError> {
        let discarded = self.at_a_moment(|| {
            let discarded = self.image.below.write_back(true);
            let discarded = discarded.map_err(|error| match error.is_lost {
                true => CheckpointError::Lost(error.cause),
                false => CheckpointError::Image(error.cause),
            });
            Ok((self.has_power(), discarded?))
        })?;
        self.delays.pool().run(self.owner, move || drop(discarded));
        Ok(())
    }

    /// Has the pool unite the layers that nobody needs.
    fn unite_layers(self: &Arc<Self>) {
        let disk = Arc::clone(self);
        let unite = move || disk.checkpoints.unite(&disk.image.below);
        self.delays.pool().run(self.owner, unite);
    }

    /// Forgets all of them. The image has what the disk holds.
    pub(super) fn forget_checkpoints(&self) {
        self.checkpoints.all.lock().clear();
    }

    fn has_power(&self) -> bool {
        self.power.off.lock().report.is_none()
    }

    /// Does `work` while no request is inside the gate, nothing becomes durable, and the power is not switched. `work`
    /// says whether it is on afterwards.
    fn at_a_moment<T>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<(bool, T), CheckpointError>,
    ) -> Result<T, CheckpointError> {
        let gate = &self.power.gate;
        let stuck = || PowerError::Stuck(self.id().to_owned());
        let deadline = Instant::now() + LEAVING;
        while !gate.close_for_quiet_in_any_power() {
            if Instant::now() >= deadline {
                return Err(stuck().into());
            }
            std::thread::sleep(super::power::gate::LOOK);
        }
        let is_quiet = gate.drain(deadline);
        let turn = is_quiet
            .then(|| self.ranges.lock_all_within(LEAVING))
            .flatten();
        let done = match turn {
            Some(_) => work(),
            None => Err(stuck().into()),
        };
        let (parked, result): (Vec<Parked>, _) = match done {
            Ok((is_on, value)) => (gate.end_quiet_with_power(is_on), Ok(value)),
            Err(error) => (gate.end_quiet(), Err(error)),
        };
        drop(turn);
        self.go_on_with(parked);
        result
    }
}
