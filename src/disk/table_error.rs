//! Why a disk was not attached or detached.

use std::io;
use std::path::PathBuf;

use super::end::Unsaved;
use crate::protocol::Errno;
use crate::protocol::names::BadId;
use crate::storage::OpenError;

/// Why a disk was not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Not a name for a disk.
    #[error(transparent)]
    BadId(#[from] BadId),
    /// A path that the control files could not show as one line of text.
    #[error("image path {0:?} holds a newline or is not UTF-8: give the image a path without")]
    BadPath(PathBuf),
    /// The name is taken.
    #[error("disk `{0}` is attached already: choose another ID, or detach it first")]
    Duplicate(String),
    /// Options that exclude each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The image cannot be served.
    #[error(transparent)]
    Image(#[from] OpenError),
    /// There is no place for the changes of a scratch disk.
    #[error("cannot make a file for the changes of a scratch disk in the run-time folder {}: {cause}", folder.display())]
    Layer {
        /// The run-time folder.
        folder: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
}

impl AttachError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::BadId(_) | Self::BadPath(_) | Self::Contradiction(_) => libc::EINVAL,
            Self::Duplicate(_) => libc::EEXIST,
            Self::Image(error) => error.errno(),
            Self::Layer { cause, .. } => Errno::of(cause).0,
        }
    }
}

/// Why a disk was not detached.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// There is none of that name.
    #[error("no disk `{id}` (attached: {attached})")]
    Unknown {
        /// What was asked for.
        id: String,
        /// What there is.
        attached: String,
    },
    /// It is in use.
    #[error("disk `{id}` is in use: {open} open file(s); close them first")]
    Busy {
        /// What was asked for.
        id: String,
        /// How many clients hold it open.
        open: usize,
    },
    /// Its image would lack something.
    #[error("disk `{id}` stays attached: {why}")]
    Unsaved {
        /// What was asked for.
        id: String,
        /// What, and what the host said.
        why: Unsaved,
    },
}

impl DetachError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unknown { .. } => libc::ENOENT,
            Self::Busy { .. } => libc::EBUSY,
            Self::Unsaved { why, .. } => why.errno().0,
        }
    }
}
