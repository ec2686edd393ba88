//! The check that a folder can be mounted over. Its errors name the remedy.

use std::io;
use std::path::{Path, PathBuf};

use crate::os::mounts;

/// Why nothing was mounted. Every text names the path.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The folder does not exist; provium does not create it.
    #[error("mount point {} does not exist: create it with `mkdir {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    /// The path leads to something other than a folder.
    #[error("mount point {} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The mount would hide files.
    #[error("mount point {} is not empty: its files would be hidden", .0.display())]
    NotEmpty(PathBuf),
    /// A provium mount is there already.
    #[error("mount point {} is busy: provium serves it already; end that with `provium umount {}`", .0.display(), .0.display())]
    Busy(PathBuf),
    /// A server that died left its mount behind.
    #[error("mount point {} is stale: its server died; clean up with `provium umount --stale`", .0.display())]
    Stale(PathBuf),
    /// The threads cannot be started, and the mount would not answer.
    #[error("cannot mount at {}: its threads cannot be started; the limit for this user may be too low (`ulimit -u`)", .0.display())]
    NoThreads(PathBuf),
    /// /dev/fuse is missing, or this user may not open it.
    #[error("/dev/fuse cannot be opened: {0}; `provium doctor` tells how to mend that")]
    NoFuse(io::Error),
    /// The system refused.
    #[error("cannot mount at {}: {cause}", path.display())]
    Io {
        /// The mount point.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
}

/// Checks that `path` can be mounted over. Returns it absolute and without links.
pub fn check_mount_point(path: &Path) -> Result<PathBuf, MountError> {
    let failed = |cause| MountError::Io {
        path: path.to_owned(),
        cause,
    };
    // The table first: a mount that does not answer must not be touched.
    let absolute = std::path::absolute(path).map_err(failed)?;
    check_not_ours(&absolute)?;
    let resolved = absolute
        .canonicalize()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => MountError::Missing(path.to_owned()),
            io::ErrorKind::NotConnected => MountError::Stale(path.to_owned()),
            _ => failed(cause),
        })?;
    check_not_ours(&resolved)?;
    if !resolved.is_dir() {
        return Err(MountError::NotAFolder(path.to_owned()));
    }
    if resolved.read_dir().map_err(failed)?.next().is_some() {
        return Err(MountError::NotEmpty(path.to_owned()));
    }
    Ok(resolved)
}

fn check_not_ours(path: &Path) -> Result<(), MountError> {
    match mounts::find(path) {
        Ok(Some(mount)) if mount.is_stale() => Err(MountError::Stale(path.to_owned())),
        Ok(Some(_)) => Err(MountError::Busy(path.to_owned())),
        _ => Ok(()),
    }
}
