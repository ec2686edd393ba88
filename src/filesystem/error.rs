//! Why a part of a file system was not found.

use std::io;
use std::path::PathBuf;

use super::part::Part;
use crate::units::text::shown;

/// Why a part of a file system was not found.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum LocateError {
    #[error("{}: {cause}", shown(image))]
    Read { image: PathBuf, cause: io::Error },
    #[error(
        "{} has no ext2, ext3, ext4 or xfs at byte {begin}{hint}",
        shown(image)
    )]
    Unknown {
        image: PathBuf,
        begin: u64,
        hint: String,
    },
    #[error("{} has no partition {number}{hint}", shown(image))]
    NoPartition {
        image: PathBuf,
        number: u32,
        hint: String,
    },
    #[error("the {what} of {} is damaged: {why}", shown(image))]
    Damaged {
        what: &'static str,
        image: PathBuf,
        why: String,
    },
    #[error(
        "{part} of {} has no sectors: it is empty, or lies in its inode",
        shown(image)
    )]
    Nothing { part: Part, image: PathBuf },
    #[error("the file system in {} has no journal of its own: {why}", shown(image))]
    NoJournal { image: PathBuf, why: &'static str },
    #[error("{program} is not installed: install the package {package}")]
    NoTool {
        program: &'static str,
        package: &'static str,
    },
    #[error("{program} cannot read {}: {said}", shown(image))]
    Tool {
        program: &'static str,
        image: PathBuf,
        said: String,
    },
    #[error("{part} is a symbolic link; name the file that it leads to")]
    Link { part: Part },
    #[error(
        "xfs_db takes no path with a blank in it, as {part} has: name a folder above it, or a file beside it"
    )]
    Blank { part: Part },
    #[error(
        "cannot copy the metadata of the xfs in {} to a temporary file, of which xfs_db reads them: {cause}",
        shown(image)
    )]
    Copy { image: PathBuf, cause: io::Error },
}
