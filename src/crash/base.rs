//! What the disk held when the log began.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::os::sys;

/// An image that is only read, or zeros of a size.
#[derive(Debug)]
pub struct Base {
    file: Option<File>,
    sectors: u64,
}

impl Base {
    /// Zeros.
    pub fn zeros(sectors: u64) -> Self {
        Self {
            file: None,
            sectors,
        }
    }

    /// The image at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let sectors = file.metadata()?.len() / 512;
        Ok(Self {
            file: Some(file),
            sectors,
        })
    }

    /// Its size.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Fills `buffer` with what it holds from byte `offset` on; what lies past its end is zeros.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        if let Some(file) = &self.file {
            while done < buffer.len() {
                match file.read_at(&mut buffer[done..], offset + done as u64)? {
                    0 => break,
                    n => done += n,
                }
            }
        }
        buffer[done..].fill(0);
        Ok(())
    }

    /// The first sector from `sector` on that may hold something else than zeros.
    pub fn next_data(&self, sector: u64) -> io::Result<Option<u64>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        match sys::seek_data(file, sector * 512) {
            Ok(offset) => Ok(Some(sector.max(offset / 512))),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
