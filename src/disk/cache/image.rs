//! A cached image as others see it: reads find what is pending. Writes go to the image below.

use std::io;

use super::CachedImage;
use super::overlay::Found;
use crate::storage::{Extent, Image};

impl CachedImage {
    /// What of the range is pending, and where the disk ends at least. To be asked before the image below: what
    /// becomes durable meanwhile is found here or there.
    fn find(&self, offset: u64, len: u64) -> (Found, u64) {
        let overlay = self.overlay.read();
        let end = offset.saturating_add(len);
        (overlay.find(offset..end), overlay.end())
    }

    fn read_with_pending(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (found, end) = self.find(offset, buffer.len() as u64);
        let asked = offset..offset + buffer.len() as u64;
        if let [(part, entry)] = found.as_slice()
            && *part == asked
            && entry.change.grows()
        {
            entry.change.copy_to(buffer, offset);
            return Ok(buffer.len());
        }
        let stored = self.below.read_at(buffer, offset)?;
        let known = end.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let len = stored.max(known);
        buffer[stored..len].fill(0);
        for (part, entry) in &found {
            let (from, to) = (part.start - offset, part.end - offset);
            let to = to.min(len as u64);
            if from < to {
                entry
                    .change
                    .copy_to(&mut buffer[from as usize..to as usize], part.start);
            }
        }
        Ok(len)
    }

    /// Where the first pending data are at `offset` or after it, before `end`.
    fn pending_data(&self, offset: u64, end: u64) -> Option<(u64, u64)> {
        let first = self.overlay.read().first_data(offset..end);
        first.map(|part| (part.start, part.end))
    }

    fn seek_data(&self, offset: u64) -> io::Result<u64> {
        let size = self.size()?;
        let pending = self.pending_data(offset, size).map(|(start, _)| start);
        match (self.below.seek(Extent::Data, offset), pending) {
            (Ok(stored), Some(pending)) => Ok(stored.min(pending)),
            (Err(error), Some(pending)) if error.raw_os_error() == Some(libc::ENXIO) => Ok(pending),
            (stored, _) => stored,
        }
    }

    /// A hole of the image below that is not written to by what is pending.
    fn seek_hole(&self, offset: u64) -> io::Result<u64> {
        let size = self.size()?;
        let mut at = offset;
        while at < size {
            at = match self.below.seek(Extent::Hole, at) {
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => at,
                found => found?,
            };
            match self.pending_data(at, size) {
                Some((start, end)) if start == at => at = end,
                _ => return Ok(at),
            }
        }
        match offset < size {
            true => Ok(size),
            false => Err(io::Error::from_raw_os_error(libc::ENXIO)),
        }
    }
}

impl Image for CachedImage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.has_pending() {
            true => self.read_with_pending(buffer, offset),
            false => self.below.read_at(buffer, offset),
        }
    }

    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.below.write_some(data, offset)
    }

    fn flush(&self, data_only: bool) -> io::Result<()> {
        self.below.flush(data_only)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.below.discard(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.below.write_zeroes(offset, len, keep_size)
    }

    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.below.allocate(offset, len, keep_size)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        // Asked first: a request that becomes durable meanwhile has let the image below grow.
        let end = match self.has_pending() {
            true => self.overlay.read().end(),
            false => 0,
        };
        Ok(self.below.size()?.max(end))
    }

    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        match (self.has_pending(), extent) {
            (false, _) => self.below.seek(extent, offset),
            (true, Extent::Data) => self.seek_data(offset),
            (true, Extent::Hole) => self.seek_hole(offset),
        }
    }

    fn blocks(&self) -> io::Result<u64> {
        self.below.blocks()
    }

    fn read_only(&self) -> bool {
        self.below.read_only()
    }

    fn lock(&self) -> io::Result<bool> {
        self.below.lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.below.unlock()
    }
}
