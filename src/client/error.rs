//! Why something in a mount could not be done.

use std::io;
use std::path::PathBuf;

/// What went wrong, in the words of the server where it said so.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The path is no provium mount.
    #[error("{} is not a provium mount: start one with `provium mount {} --disk vda=IMAGE`", .0.display(), .0.display())]
    NotAMount(PathBuf),
    /// Its server is gone.
    #[error("{} is a stale mount: its server died; clean up with `provium umount --stale`", .0.display())]
    Stale(PathBuf),
    /// Its server is suspended: who asks would wait.
    #[error("the server of {} is stopped: let it go on with `kill -CONT {server}`", mount.display())]
    Stopped {
        /// Where.
        mount: PathBuf,
        /// The process.
        server: u32,
    },
    /// There is no such disk.
    #[error("no disk `{id}` in {} (attached: {attached})", mount.display())]
    NoDisk {
        /// What was asked for.
        id: String,
        /// Where.
        mount: PathBuf,
        /// What there is instead.
        attached: String,
    },
    /// The server rejected a control write, and nothing has changed.
    #[error("{0}")]
    Rejected(String),
    /// The same, for a line, a rule or a tag that is wrong in itself.
    #[error("{0}")]
    Wrong(String),
    /// The system failed.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl ClientError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { path, cause }
    }
}
