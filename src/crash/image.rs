//! A state as an image: read from the base and the log, written to memory of its own.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{MemfdFlags, memfd_create};

use super::content::Content;
use super::sectors::Sectors;
use super::source::Source;
use crate::os::sys;
use crate::storage::{Extent, Image};

/// A state that a checker may read and write.
#[derive(Debug)]
pub struct StateImage {
    source: Arc<Source>,
    content: RwLock<Content>,
    /// What was written to it, where `touched` has it. Made when it is needed: thousands of states may be
    /// served, and few written.
    written: OnceLock<File>,
    touched: Mutex<Touched>,
}

#[derive(Clone, Debug, Default)]
struct Touched {
    /// Sectors that were written here, and are read from here.
    written: Sectors,
    /// Sectors of the state that were read.
    read: Sectors,
}

impl StateImage {
    /// The state of `source` that holds `content`.
    pub fn new(source: &Arc<Source>, content: Content) -> Self {
        Self {
            source: Arc::clone(source),
            content: RwLock::new(content),
            written: OnceLock::new(),
            touched: Mutex::default(),
        }
    }

    fn written(&self) -> io::Result<&File> {
        if self.written.get().is_none() {
            let file = memfd_create("crash state", MemfdFlags::CLOEXEC)?;
            let _ = self.written.set(file.into());
        }
        self.written
            .get()
            .ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// The sectors of the state that were read so far: those of its own writes do not count.
    pub fn read_sectors(&self) -> Sectors {
        self.touched.lock().read.clone()
    }

    /// Makes it the state that holds `content`, as if nothing had been read from it or written to it. Nobody may
    /// have a request for it meanwhile.
    pub fn replace(&self, content: Content) {
        *self.content.write() = content;
        *self.touched.lock() = Touched::default();
    }

    /// What it has in `sectors`.
    pub fn data(&self, sectors: &Range<u64>) -> io::Result<Vec<u8>> {
        let mut data = vec![0; ((sectors.end - sectors.start) * 512) as usize];
        self.read_sectors_at(&mut data, sectors)?;
        Ok(data)
    }

    fn size_in_bytes(&self) -> u64 {
        self.source.sectors * 512
    }

    /// Reads whole sectors.
    fn read_sectors_at(&self, buffer: &mut [u8], sectors: &Range<u64>) -> io::Result<()> {
        let parts = {
            let mut touched = self.touched.lock();
            let parts = touched.written.split(sectors);
            let states = parts.iter().filter(|(_, is_written)| !is_written);
            for (part, _) in states {
                touched.read.insert(part.clone());
            }
            parts
        };
        for (part, is_written) in parts {
            let place = |sector: u64| ((sector - sectors.start) * 512) as usize;
            let buffer = &mut buffer[place(part.start)..place(part.end)];
            match is_written {
                true => self.written()?.read_exact_at(buffer, part.start * 512)?,
                false => self.read_state(buffer, &part)?,
            }
        }
        Ok(())
    }

    fn read_state(&self, buffer: &mut [u8], sectors: &Range<u64>) -> io::Result<()> {
        let segments = self.content.read().segments(sectors);
        for (part, request) in segments {
            let place = |sector: u64| ((sector - sectors.start) * 512) as usize;
            let buffer = &mut buffer[place(part.start)..place(part.end)];
            let request = request.map(|request| &self.source.history.requests[request]);
            match request.map(|request| (request.data_at, request.sectors.start)) {
                None => self.source.base.read_at(buffer, part.start * 512)?,
                Some((None, _)) => buffer.fill(0),
                Some((Some(at), start)) => {
                    let offset = at + (part.start - start) * 512;
                    self.source.log.read_at(buffer, offset)?;
                }
            }
        }
        Ok(())
    }

    /// The whole sectors that have bytes of the range.
    fn around(offset: u64, len: u64) -> Range<u64> {
        offset / 512..(offset + len).div_ceil(512)
    }

    /// Gets sectors ready to be written in part: they are read first.
    fn take_over(&self, sectors: Range<u64>) -> io::Result<()> {
        let mut buffer = [0; 512];
        for sector in [sectors.start, sectors.end - 1] {
            let one = sector..sector + 1;
            if !self.touched.lock().written.has(&one) {
                self.read_sectors_at(&mut buffer, &one)?;
                self.written()?.write_all_at(&buffer, sector * 512)?;
            }
        }
        Ok(())
    }

    fn is_aligned(offset: u64, len: u64) -> bool {
        offset.is_multiple_of(512) && len.is_multiple_of(512)
    }
}

impl Image for StateImage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = self.size_in_bytes().min(offset + buffer.len() as u64);
        let Some(len) = end.checked_sub(offset).filter(|len| *len > 0) else {
            return Ok(0);
        };
        let buffer = &mut buffer[..len as usize];
        let sectors = Self::around(offset, len);
        if Self::is_aligned(offset, len) {
            self.read_sectors_at(buffer, &sectors)?;
        } else {
            let mut whole = vec![0; ((sectors.end - sectors.start) * 512) as usize];
            self.read_sectors_at(&mut whole, &sectors)?;
            let from = (offset - sectors.start * 512) as usize;
            buffer.copy_from_slice(&whole[from..][..len as usize]);
        }
        Ok(len as usize)
    }

    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        let room = self.size_in_bytes().saturating_sub(offset);
        let data = &data[..data.len().min(room as usize)];
        if data.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let sectors = Self::around(offset, data.len() as u64);
        if !Self::is_aligned(offset, data.len() as u64) {
            self.take_over(sectors.clone())?;
        }
        self.written()?.write_all_at(data, offset)?;
        self.touched.lock().written.insert(sectors);
        Ok(data.len())
    }

    fn flush(&self, _data_only: bool) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.write_zeroes(offset, len, true)
    }

    fn write_zeroes(&self, offset: u64, len: u64, _keep_size: bool) -> io::Result<()> {
        let len = len.min(self.size_in_bytes().saturating_sub(offset));
        if len == 0 {
            return Ok(());
        }
        let sectors = Self::around(offset, len);
        if !Self::is_aligned(offset, len) {
            self.take_over(sectors.clone())?;
        }
        let end = sectors.end * 512;
        let written = self.written()?;
        if written.metadata()?.len() < end {
            written.set_len(end)?;
        }
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        sys::fallocate(written, mode, offset, len)?;
        self.touched.lock().written.insert(sectors);
        Ok(())
    }

    fn allocate(&self, _offset: u64, _len: u64, _keep_size: bool) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size_in_bytes())
    }

    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        match extent {
            _ if offset >= self.size_in_bytes() => Err(io::Error::from_raw_os_error(libc::ENXIO)),
            Extent::Data => Ok(offset),
            Extent::Hole => self.size(),
        }
    }

    fn blocks(&self) -> io::Result<u64> {
        Ok(self.source.sectors)
    }

    fn read_only(&self) -> bool {
        false
    }
}
