//! Reading a write log: all entries are checked when it is opened, data are read when they are needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::format::{ENTRY_BYTES, Entry, Flags, FormatError, Superblock};

/// Why a log cannot be read. Entries count from 1.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is not a log.
    #[error("{} is not a write log: {cause}", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What is wrong at its beginning.
        cause: FormatError,
    },
    /// An entry is damaged.
    #[error("{} is damaged: entry {entry} of {entries}: {cause}", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Which entry.
        entry: u64,
        /// How many there should be.
        entries: u64,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// It is shorter than its entries.
    #[error("{} is cut off: it ends within entry {entry} of {entries}", path.display())]
    CutOff {
        /// The log.
        path: PathBuf,
        /// The entry that is not whole.
        entry: u64,
        /// How many there should be.
        entries: u64,
    },
}

/// An entry, and where its data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// What it is. Sectors are of 512 bytes, whatever the unit of the log.
    pub entry: Entry,
    /// The offset of its data in the log, in bytes.
    pub data_at: u64,
}

/// A log that has been checked from its beginning to its end.
#[derive(Debug)]
pub struct WriteLog {
    file: File,
    entries: Vec<LogEntry>,
}

impl WriteLog {
    /// Reads the entries of the log at `path`.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let failed = |cause| LogError::Io {
            path: path.to_owned(),
            cause,
        };
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let superblock = Self::superblock(&file, path)?;
        let mut log = Self {
            file,
            entries: Vec::new(),
        };
        let mut at = u64::from(superblock.sector_size);
        for number in 1..=superblock.entries {
            let cut_off = || LogError::CutOff {
                path: path.to_owned(),
                entry: number,
                entries: superblock.entries,
            };
            let damaged = |cause| LogError::Damaged {
                path: path.to_owned(),
                entry: number,
                entries: superblock.entries,
                cause,
            };
            if at + ENTRY_BYTES as u64 > len {
                return Err(cut_off());
            }
            let entry = Entry::decode(&sector_at(&log.file, at).map_err(failed)?);
            let entry = LogEntry::at(entry.map_err(damaged)?, at, superblock.sector_size);
            at = entry.end();
            if entry.data_len() > 0 && at > len {
                return Err(cut_off());
            }
            log.entries.push(entry);
        }
        Ok(log)
    }

    fn superblock(file: &File, path: &Path) -> Result<Superblock, LogError> {
        let not_a_log = |cause| LogError::NotALog {
            path: path.to_owned(),
            cause,
        };
        match sector_at(file, 0) {
            Ok(bytes) => Superblock::decode(&bytes).map_err(not_a_log),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(not_a_log(FormatError::Magic(0)))
            }
            Err(cause) => Err(LogError::Io {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    /// All entries, first to last.
    pub fn entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// Reads data of an entry: `offset` is a place in the log, in bytes.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl LogEntry {
    /// The entry at `at`, in a log whose unit is `sector_size` bytes.
    fn at(entry: Entry, at: u64, sector_size: u32) -> Self {
        let scale = u64::from(sector_size) / 512;
        let entry = match entry {
            Entry::Request {
                sector,
                sectors,
                flags,
                order,
            } => Entry::Request {
                sector: sector * scale,
                sectors: sectors * scale,
                flags,
                order,
            },
            mark @ Entry::Mark(_) => mark,
        };
        Self {
            entry,
            data_at: at + u64::from(sector_size),
        }
    }

    /// How many bytes of data follow it.
    pub fn data_len(&self) -> u64 {
        match &self.entry {
            Entry::Request { sectors, flags, .. } if !flags.has(Flags::DISCARD) => sectors * 512,
            Entry::Request { .. } | Entry::Mark(_) => 0,
        }
    }

    fn end(&self) -> u64 {
        self.data_at.saturating_add(self.data_len())
    }
}

fn sector_at(file: &File, offset: u64) -> io::Result<[u8; ENTRY_BYTES]> {
    let mut bytes = [0; ENTRY_BYTES];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
