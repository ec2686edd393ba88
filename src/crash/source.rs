//! What states are made of: a log, and what the disk held before it.

use std::io;
use std::path::{Path, PathBuf};

use super::base::Base;
use super::history::History;
use crate::storage::write_log::{LogError, WriteLog};

/// What a user writes for a base of zeros.
const ZEROS: &str = "none";

/// Where to find what a disk held when its log began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BaseImage {
    /// At the path of the log with `.base` added; zeros if nothing is there.
    #[default]
    Beside,
    /// Nowhere: it held zeros.
    Zeros,
    /// At this path.
    At(PathBuf),
}

impl BaseImage {
    /// What a user's `PATH` or `none` means.
    pub fn given(path: &Path) -> Self {
        match path == Path::new(ZEROS) {
            true => Self::Zeros,
            false => Self::At(path.to_owned()),
        }
    }

    fn path(&self, log: &Path) -> Option<PathBuf> {
        match self {
            Self::Zeros => None,
            Self::At(path) => Some(path.clone()),
            Self::Beside => Some(beside(log)).filter(|path| path.exists()),
        }
    }
}

fn beside(log: &Path) -> PathBuf {
    let mut beside = log.to_owned().into_os_string();
    beside.push(".base");
    beside.into()
}

/// Why there are no states.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The base cannot be opened.
    #[error("cannot read the base {}: {cause}", path.display())]
    Base {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The base belongs to another disk.
    #[error(
        "the base has {base} sectors, and the log changes sector {last}: it is the base of another disk"
    )]
    Small {
        /// Its size in sectors.
        base: u64,
        /// The last sector that the log changes.
        last: u64,
    },
}

/// All that states are made of.
#[derive(Debug)]
pub struct Source {
    /// Where the log is.
    pub log_path: PathBuf,
    /// Where the base is; None for zeros.
    pub base_path: Option<PathBuf>,
    /// What the disk held first.
    pub base: Base,
    /// What happened to it.
    pub log: WriteLog,
    /// The same, as requests.
    pub history: History,
    /// The size of the disk.
    pub sectors: u64,
}

impl Source {
    /// Reads the entries of the log at `log`.
    pub fn open(log: &Path, base: &BaseImage) -> Result<Self, SourceError> {
        let log_path = log.to_owned();
        let log = WriteLog::open(log)?;
        let history = History::of(&log);
        let end = history.end();
        let base_path = base.path(&log_path);
        let base = match &base_path {
            None => Base::zeros(end),
            Some(path) => Base::open(path).map_err(|cause| SourceError::Base {
                path: path.clone(),
                cause,
            })?,
        };
        if base.sectors() < end {
            return Err(SourceError::Small {
                base: base.sectors(),
                last: end - 1,
            });
        }
        Ok(Self {
            log_path,
            base_path,
            sectors: base.sectors(),
            base,
            log,
            history,
        })
    }

    /// The base that a command line has to name, because another one would be taken without.
    pub(super) fn base_to_name(&self) -> Option<&Path> {
        let beside = Some(beside(&self.log_path)).filter(|path| path.exists());
        let zeros = Path::new(ZEROS);
        let differs = self.base_path != beside;
        differs.then(|| self.base_path.as_deref().unwrap_or(zeros))
    }
}
