//! Why a call of a disk failed.

use crate::client::{ClientError, DataError};
use crate::protocol::names::SECTOR;
use crate::script::bind::CallError;

/// The largest number of a sector with which a file can be addressed.
pub(super) const MOST_SECTORS: u64 = i64::MAX as u64 / SECTOR;

/// Why a call failed, in the words of the documents.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error("disk is detached")]
    Detached,
    #[error("no backing image — disk:with_image required")]
    NoImage,
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("{what} is {sectors}: no disk has more than {MOST_SECTORS} sectors")]
    TooFar { what: &'static str, sectors: i64 },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<DiskError> for CallError {
    fn from(error: DiskError) -> Self {
        Self::Reason(error.to_string())
    }
}
