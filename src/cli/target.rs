//! `MNT/ID` and `MNT[/ID]`: the disk or the mount that a command is for.

use std::path::Path;

use super::disks::must_be_valid;
use super::exit::UsageError;
use crate::client::{ClientError, DiskControl, MountClient};
use crate::os::mounts;

/// What `MNT[/ID]` names.
#[derive(Debug)]
pub(super) enum Target {
    /// All disks of a mount.
    Mount(MountClient),
    /// One disk.
    Disk(DiskControl),
}

impl Target {
    /// The target at `path`.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let absolute = std::path::absolute(path)?;
        let parent = absolute.parent().map(mounts::find).transpose()?.flatten();
        // A path in a mount is not asked for a mount of its own: a stopped server would not answer.
        if parent.is_none() {
            match MountClient::open(path) {
                Err(ClientError::NotAMount(_)) => {}
                mount => return Ok(Self::Mount(mount?)),
            }
        }
        match disk(path) {
            Err(error) if is_not_in_a_mount(&error) => {
                Err(ClientError::NotAMount(path.to_owned()).into())
            }
            disk => disk.map(Self::Disk),
        }
    }
}

fn is_not_in_a_mount(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::NotAMount(_)))
}

/// The disk at `path`, which is `MNT/ID`.
pub(super) fn disk(path: &Path) -> anyhow::Result<DiskControl> {
    let path = std::path::absolute(path)?;
    let parts = path
        .parent()
        .zip(path.file_name().and_then(|id| id.to_str()));
    let Some((mount, id)) = parts else {
        return Err(UsageError(format!("`{}` is not MNT/ID", path.display())).into());
    };
    let mount = MountClient::open(mount)?;
    must_be_valid(id)?;
    Ok(mount.disk(id)?)
}
