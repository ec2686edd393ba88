//! Why a control file rejects a write: a sentence for `ctl/error`, and an error number.

use crate::disk::{AttachError, CacheError, CheckpointError, DetachError, LogError, PowerError};
use crate::fault::{GrammarError, NoSuchTag};
use crate::protocol::names::{LONGEST_CONTROL_WRITE, LONGEST_TRANSACTION};
use crate::protocol::{BadCheckpoint, BadPower, Errno, ReleaseError};

pub(super) const ATTACH_USAGE: &str = "attach expects one line `ID IMAGE [ro] [fixed] [cache=volatile] [scratch[=SIZE]]`, quoted as in a shell, as in `vda /srv/a.img ro`";
pub(super) const DETACH_USAGE: &str = "detach expects one disk ID";
pub(super) const RELEASE_USAGE: &str = "release expects `all` or a tag, then, if the held requests are to fail, an error or `drop`, as in `all EIO`";
pub(super) const RULES_USAGE: &str = "rules expects `off`, or `on` to have the rules act again";
pub(super) const IMAGE_USAGE: &str =
    "image expects `unlock`, which leaves the image to others until somebody opens the disk";
pub(super) const CACHE_USAGE: &str = "cache expects `off` or `volatile`";
pub(super) const POWER_USAGE: &str =
    "power expects `cut`, with `keep=...` to say what survives, or `on`";
pub(super) const LOG_USAGE: &str = "log expects `start PATH` with an absolute path, and perhaps `base=none` or `base=PATH`, or `stop`";
pub(super) const CHECKPOINT_USAGE: &str =
    "checkpoint expects `save NAME`, perhaps with `faults=yes`, `restore NAME` or `drop NAME`";
pub(super) const MARK_USAGE: &str = "mark expects one line of 1 to 400 bytes";
pub(super) const SEED_USAGE: &str = "seed expects a whole number, 0 or more";

/// Why a write is rejected. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Usage(&'static str),
    #[error("a control write has at most {LONGEST_CONTROL_WRITE} bytes, this one has {0}")]
    TooLong(usize),
    #[error(
        "a write of rules has at most {LONGEST_CONTROL_WRITE} bytes, this one has {0}: for more, write a line `begin` first and a line `commit` last, or use `provium fault MNT/ID --file RULES`"
    )]
    ManyRules(usize),
    #[error("the rules between `begin` and `commit` have at most {LONGEST_TRANSACTION} bytes")]
    TooManyRules,
    #[error("`commit` is the last line of a transaction: nothing may follow it in the same write")]
    AfterCommit,
    #[error("an earlier write after `begin` was rejected: close the file and begin again")]
    Broken,
    #[error("the file was closed before `commit`: nothing has changed")]
    NotCommitted,
    #[error("`!` removes from the set, but `>` replaces the set: append with `>>`")]
    RemoveWhileReplacing,
    #[error("image `{0}` is not an absolute path: the server does not know your working directory")]
    RelativeImage(String),
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error(transparent)]
    Errno(ReleaseError),
    #[error(transparent)]
    NoSuchTag(#[from] NoSuchTag),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Detach(#[from] DetachError),
    #[error(transparent)]
    PowerWords(#[from] BadPower),
    #[error(transparent)]
    Power(#[from] PowerError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    CheckpointWords(#[from] BadCheckpoint),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the image stays locked: {0} file(s) of the disk are open")]
    InUse(usize),
    #[error(
        "the image stays locked: it lacks what the disk holds since its checkpoints were saved; drop them first"
    )]
    Layered,
    #[error("the image cannot be unlocked: {0}")]
    Unlock(Errno),
}

impl WriteError {
    /// The error number for the writer.
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Attach(error) => Errno(error.errno()),
            Self::Detach(error) => Errno(error.errno()),
            Self::InUse(_) | Self::Layered => Errno(libc::EBUSY),
            Self::Unlock(errno) => *errno,
            Self::Power(error) => error.errno(),
            Self::Cache(error) => error.errno(),
            Self::Checkpoint(error) => error.errno(),
            Self::Log(error) => error.errno(),
            Self::Usage(_)
            | Self::TooLong(_)
            | Self::ManyRules(_)
            | Self::TooManyRules
            | Self::AfterCommit
            | Self::Broken
            | Self::NotCommitted
            | Self::RemoveWhileReplacing
            | Self::RelativeImage(_)
            | Self::Grammar(_)
            | Self::Errno(_)
            | Self::PowerWords(_)
            | Self::CheckpointWords(_)
            | Self::NoSuchTag(_) => Errno(libc::EINVAL),
        }
    }
}

impl From<ReleaseError> for WriteError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Words(_) => Self::Usage(RELEASE_USAGE),
            ReleaseError::Errno(..) => Self::Errno(error),
        }
    }
}
