//! The data file of a disk seen from outside, and whether an error on it was injected.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::os::sys;
use crate::protocol::names::{IOCTL_INJECTED_ERRORS, IOCTL_OWN_CALLS};

/// Bytes that are one request wherever in memory they begin: the kernel sends at most 256 pages as one. A longer
/// call is cut into pieces, which are sent side by side, so that it waits for a delay once.
const PIECE: usize = 255 * 4096;
/// Pieces that are sent side by side. A call of more than about this many MiB waits for a delay more than once.
const PIECES_AT_ONCE: usize = 1024;

/// Bytes of the stack of a thread that sends one piece. Many may run at once.
const STACK: usize = 64 * 1024;

/// An open data file.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    is_writable: bool,
    path: PathBuf,
}

/// Why an I/O call failed.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A rule injected this error.
    #[error("{0} (fault_inject)")]
    Injected(crate::protocol::Errno),
    /// The host failed it; the text is the host's.
    #[error("{}: {cause}", path.display())]
    Host {
        /// The data file.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
}

impl DataFile {
    /// Opens the data file at `path`: for writing too, unless it is read only.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let open = |write| OpenOptions::new().read(true).write(write).open(path);
        let read_only = |error: io::Error| match error.raw_os_error() {
            Some(libc::EROFS | libc::EACCES) => open(false),
            _ => Err(error),
        };
        let writable = open(true);
        let is_writable = writable.is_ok();
        let file = writable
            .or_else(read_only)
            .map_err(|cause| DataError::Host {
                path: path.to_owned(),
                cause,
            })?;
        Ok(Self {
            file,
            is_writable,
            path: path.to_owned(),
        })
    }

    /// Marks this open file as a test's own: rules with `client=guest` are not for its requests, those with
    /// `client=host` are.
    pub fn be_host(&self) -> Result<(), DataError> {
        let marked = sys::ioctl_read_u64(&self.file, u64::from(IOCTL_OWN_CALLS));
        marked.map(drop).map_err(|cause| self.host_error(cause))
    }

    /// Reads `len` bytes at `offset`, or fewer at the end of the disk.
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, DataError> {
        self.check_range(offset, len)?;
        let mut buffer = vec![0; len];
        let pieces = buffer.chunks_mut(PIECE).enumerate().collect();
        let lens = self.in_parallel(pieces, |(at, piece): (usize, &mut [u8])| {
            read_full(&self.file, piece, offset + (at * PIECE) as u64)
        })?;
        buffer.truncate(lens.iter().sum());
        Ok(buffer)
    }

    /// Writes all of `data` at `offset`.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), DataError> {
        self.check_range(offset, data.len())?;
        if !self.is_writable {
            return Err(self.host_error(io::Error::from_raw_os_error(libc::EROFS)));
        }
        let pieces = data.chunks(PIECE).enumerate().collect();
        let write = |(at, piece): (usize, &[u8])| {
            self.file.write_all_at(piece, offset + (at * PIECE) as u64)
        };
        self.in_parallel(pieces, write).map(drop)
    }

    /// Makes durable what was written.
    pub fn sync(&self) -> Result<(), DataError> {
        let before = self.injected_errors();
        let synced = self.file.sync_data();
        synced.map_err(|error| self.explain(error, before))
    }

    /// EINVAL for a range that ends beyond the largest offset of a file: the offset of a piece would overflow.
    fn check_range(&self, offset: u64, len: usize) -> Result<(), DataError> {
        let end = offset.checked_add(len as u64);
        if end.is_some_and(|end| i64::try_from(end).is_ok()) {
            return Ok(());
        }
        Err(self.host_error(io::Error::from_raw_os_error(libc::EINVAL)))
    }

    fn host_error(&self, cause: io::Error) -> DataError {
        DataError::Host {
            path: self.path.clone(),
            cause,
        }
    }

    /// Does `work` on every piece, several at once. Returns the first error in the order of the pieces.
    fn in_parallel<T: Send, R: Send>(
        &self,
        pieces: Vec<T>,
        work: impl Fn(T) -> io::Result<R> + Sync,
    ) -> Result<Vec<R>, DataError> {
        let before = self.injected_errors();
        let results: io::Result<Vec<R>> = if pieces.len() <= 1 {
            pieces.into_iter().map(work).collect()
        } else {
            in_threads(pieces, &work)
        };
        results.map_err(|error| self.explain(error, before))
    }

    /// Tells an injected error from one of the host. This file belongs to one caller, so the number of errors
    /// injected through it has grown if this call met one. A call of several pieces that met both kinds counts as
    /// injected.
    fn explain(&self, cause: io::Error, injected_before: u64) -> DataError {
        if self.injected_errors() > injected_before {
            return DataError::Injected(crate::protocol::Errno::of(&cause));
        }
        DataError::Host {
            path: self.path.clone(),
            cause,
        }
    }

    /// How many errors were injected through this file; 0 when the server is gone, which then injects none.
    fn injected_errors(&self) -> u64 {
        sys::ioctl_read_u64(&self.file, u64::from(IOCTL_INJECTED_ERRORS)).unwrap_or(0)
    }
}

fn in_threads<T: Send, R: Send>(
    pieces: Vec<T>,
    work: &(impl Fn(T) -> io::Result<R> + Sync),
) -> io::Result<Vec<R>> {
    let mut results = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter().peekable();
    while pieces.peek().is_some() {
        let batch: Vec<T> = pieces.by_ref().take(PIECES_AT_ONCE).collect();
        let batch = std::thread::scope(|scope| {
            let spawn = |piece| {
                let thread = std::thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, || work(piece))
            };
            let threads: Vec<_> = batch.into_iter().map(spawn).collect();
            let died = |_| Err(io::Error::other("an I/O thread panicked"));
            let joined = threads.into_iter().map(|t| t?.join().unwrap_or_else(died));
            joined.collect::<io::Result<Vec<R>>>()
        });
        results.extend(batch?);
    }
    Ok(results)
}

fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}
