//! A mount whose files are states that a power cut may leave.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mount_point::MountError;
use super::start::{Options, Server};
use crate::crash::{Shelf, StateImage};
use crate::disk::Disks;

/// The mount, until [`end`](Self::end). The process that has it must not open files in it.
pub struct StateMount {
    mount_point: PathBuf,
    disks: Arc<Disks>,
    server: Server,
}

impl StateMount {
    /// Mounts at `mount_point`, an empty folder with an absolute path.
    pub fn start(mount_point: &Path) -> Result<Self, MountError> {
        let failed = |cause| MountError::Io {
            path: mount_point.to_owned(),
            cause,
        };
        let disks = Arc::new(Disks::start().map_err(failed)?);
        let options = Options {
            mount_point: mount_point.to_owned(),
            allow_other: false,
        };
        Ok(Self {
            mount_point: mount_point.to_owned(),
            server: Server::start(&options, Arc::clone(&disks))?,
            disks,
        })
    }

    /// Disconnects when somebody else has unmounted it.
    pub fn unmounted(&self) -> &crossbeam_channel::Receiver<()> {
        self.server.unmounted()
    }

    /// Unmounts.
    pub fn end(self) {
        self.server.end();
    }
}

impl Shelf for StateMount {
    fn serve(&self, name: &str, image: &Arc<StateImage>) -> io::Result<PathBuf> {
        let image = Arc::clone(image);
        let attached = self.disks.attach_image(name, Path::new("state"), image);
        attached.map_err(io::Error::other)?;
        Ok(self.mount_point.join(name))
    }

    fn withdraw(&self, name: &str) -> io::Result<()> {
        self.disks.detach(name).map_err(io::Error::other)
    }
}
