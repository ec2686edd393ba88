//! Why a call on a mount failed.

use std::io;
use std::path::PathBuf;

/// Why a call on a mount failed, in the words of the server where it gave a reason.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The path is not a provium mount.
    #[error("{} is not a provium mount: start one with `provium mount {} --disk vda=IMAGE`", .0.display(), .0.display())]
    NotAMount(PathBuf),
    /// Its server has ended.
    #[error("{} is a stale mount: its server died; clean up with `provium umount --stale`", .0.display())]
    Stale(PathBuf),
    /// Its server is stopped: a call would wait until it runs again.
    #[error("the server of {} is stopped: let it go on with `kill -CONT {server}`", mount.display())]
    Stopped {
        /// The mount point.
        mount: PathBuf,
        /// The process of the server.
        server: u32,
    },
    /// There is no such disk.
    #[error("no disk `{id}` in {}{nearest} (attached: {attached})", mount.display())]
    NoDisk {
        /// The ID that was asked for.
        id: String,
        /// The mount point.
        mount: PathBuf,
        /// `; did you mean ...?`, if one of several disks has a name like it.
        nearest: String,
        /// The disks that exist.
        attached: String,
    },
    /// The mount belongs to another user.
    #[error("{} is a mount of user {owner}: the kernel lets nobody else, not even root, see its control files", mount.display())]
    NotYours {
        /// The mount point.
        mount: PathBuf,
        /// The number of the user who mounted it.
        owner: u32,
    },
    /// The server rejected a write to a control file, and nothing has changed.
    #[error("{0}")]
    Rejected(String),
    /// The same, because the line, the rule or the tag itself is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The system failed.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
}

impl ClientError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { path, cause }
    }
}
