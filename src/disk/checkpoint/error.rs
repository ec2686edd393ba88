//! Why a checkpoint was not saved, returned to or dropped.

use std::io;

use crate::disk::power::PowerError;
use crate::protocol::Errno;

/// Why a checkpoint was not saved, returned to or dropped. But for `Lost`, nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The name is taken.
    #[error("there is a checkpoint `{0}` already: drop it first, or choose another name")]
    Taken(String),
    /// There is none of that name.
    #[error("no checkpoint `{name}` (saved: {saved})")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        saved: String,
    },
    /// The writes of the disk are logged.
    #[error("the writes of this disk are logged, and a log cannot go back: stop it first")]
    Logged,
    /// Others have its image.
    #[error(
        "this disk shares its image (`share`), and others would not see what it holds since a checkpoint"
    )]
    Shared,
    /// No file can be made for a layer.
    #[error(
        "cannot make a file for the changes of the disk in the run-time folder {folder}: {cause}"
    )]
    Folder {
        /// The run-time folder.
        folder: String,
        /// What the host said.
        cause: io::Error,
    },
    /// A rule shows old data, and there is no memory for them.
    #[error(
        "a rule with `stale` would have to keep all that changes, for which there is no memory: {0}"
    )]
    Stale(Errno),
    /// The image cannot be written.
    #[error("what the disk holds cannot be written to its image, so the checkpoint stays: {0}")]
    Image(io::Error),
    /// The same, and the image has changed.
    #[error(
        "what the disk holds cannot be written to its image: {0}; the checkpoint is lost, for the run-time folder has no room for what the image held. The disk holds what it did"
    )]
    Lost(io::Error),
    /// A request does not end.
    #[error(transparent)]
    Power(#[from] PowerError),
}

impl CheckpointError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Taken(_) => Errno(libc::EEXIST),
            Self::Unknown { .. } => Errno(libc::ENOENT),
            Self::Logged | Self::Shared => Errno(libc::EBUSY),
            Self::Folder { cause, .. } | Self::Image(cause) | Self::Lost(cause) => Errno::of(cause),
            Self::Stale(errno) => *errno,
            Self::Power(error) => error.errno(),
        }
    }
}
