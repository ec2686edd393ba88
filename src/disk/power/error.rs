//! Why the power of a disk is not switched.

use crate::protocol::Errno;

/// Why the power of a disk was not switched.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The power is off.
    #[error("the power of {0} is off already")]
    IsOff(String),
    /// The power is on.
    #[error("the power of {0} is on already")]
    IsOn(String),
    /// It is needed, and off.
    #[error("the power of `{0}` is off: write `on` to `power` first")]
    NoPower(String),
    /// There is nothing to cut.
    #[error("no disk is attached")]
    NoDisk,
    /// A number of `keep=only=` that is not pending.
    #[error("no request with the number {0} is pending: `pending` lists the numbers")]
    NotPending(u64),
    /// Requests do not end.
    #[error("a request of `{0}` does not end: its storage does not answer")]
    Stuck(String),
    /// What survives cannot be written.
    #[error("the power of `{0}` is off, but what survives cannot be written: {1}")]
    Storage(String, Errno),
}

impl PowerError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        match self {
            Self::IsOff(_) | Self::IsOn(_) => Errno(libc::EALREADY),
            Self::NoDisk => Errno(libc::ENODEV),
            Self::NotPending(_) => Errno(libc::EINVAL),
            Self::Stuck(_) => Errno(libc::EBUSY),
            Self::NoPower(_) => Errno::EIO,
            Self::Storage(_, errno) => *errno,
        }
    }
}
