//! A layered image as others see it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::LayeredImage;
use super::layer::{Content, Layer};
use crate::storage::{Extent, Image};

impl LayeredImage {
    /// Fills `buffer` from `offset`, all of which the image has.
    fn read_layers(&self, top: &Layer, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let place =
            |range: &Range<u64>| (range.start - offset) as usize..(range.end - offset) as usize;
        let asked = offset..offset + buffer.len() as u64;
        let mut found = top.find(std::slice::from_ref(&asked));
        loop {
            for (part, content) in &found.parts {
                let target = &mut buffer[place(part)];
                match content {
                    Content::Data => found.read(target, part.start)?,
                    Content::Zeros => target.fill(0),
                }
            }
            if found.gaps.is_empty() {
                return Ok(());
            }
            let Some(parent) = found.parent else { break };
            found = parent.find(&found.gaps);
        }
        for gap in found.gaps {
            let target = &mut buffer[place(&gap)];
            let read = self.base.read_at(target, gap.start)?;
            // Others have cut the image.
            target[read..].fill(0);
        }
        Ok(())
    }

    /// Whether there are data at `at`, and where that ends, at most at `limit`.
    fn extent_at(&self, top: &Layer, at: u64, limit: u64) -> io::Result<(bool, u64)> {
        let mut found = top.at(at, limit);
        loop {
            if let Some(content) = found.content {
                return Ok((content == Content::Data, found.end));
            }
            let Some(parent) = found.parent else { break };
            found = parent.at(at, found.end);
        }
        let limit = found.end;
        let next = |extent| match self.base.seek(extent, at) {
            Ok(next) => Ok(next.clamp(at, limit)),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(limit),
            Err(error) => Err(error),
        };
        match next(Extent::Data) {
            Ok(data) if data > at => Ok((false, data)),
            Ok(_) => Ok((true, next(Extent::Hole)?.max(at + 1))),
            // A block device cannot tell: all of it are data.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok((true, limit)),
            Err(error) => Err(error),
        }
    }

    fn seek_layers(&self, top: &Layer, extent: Extent, offset: u64) -> io::Result<u64> {
        let size = top.size();
        let mut at = offset;
        while at < size {
            let (is_data, end) = self.extent_at(top, at, size)?;
            if is_data == (extent == Extent::Data) {
                return Ok(at);
            }
            at = end;
        }
        match extent {
            Extent::Hole if offset < size => Ok(size),
            Extent::Hole | Extent::Data => Err(io::Error::from_raw_os_error(libc::ENXIO)),
        }
    }
}

impl Image for LayeredImage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(top) = self.top() else {
            return self.base.read_at(buffer, offset);
        };
        let room = top.size().saturating_sub(offset);
        let len = room.min(buffer.len() as u64) as usize;
        self.read_layers(&top, &mut buffer[..len], offset)?;
        Ok(len)
    }

    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        match self.top() {
            Some(top) => top.write_some(data, offset),
            None => self.base.write_some(data, offset),
        }
    }

    fn flush(&self, data_only: bool) -> io::Result<()> {
        match self.top() {
            // What the image held before the first layer may not be durable yet.
            Some(_) if self.is_base_flushed.load(Ordering::SeqCst) => Ok(()),
            Some(_) => {
                self.base.flush(false)?;
                self.is_base_flushed.store(true, Ordering::SeqCst);
                Ok(())
            }
            None => self.base.flush(data_only),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.top() {
            Some(top) => {
                top.zero(offset, len);
                Ok(())
            }
            None => self.base.discard(offset, len),
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        let Some(top) = self.top() else {
            return self.base.write_zeroes(offset, len, keep_size);
        };
        top.zero(offset, len);
        if !keep_size {
            top.grow_to(offset.saturating_add(len));
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        let Some(top) = self.top() else {
            return self.base.allocate(offset, len, keep_size);
        };
        if !keep_size {
            top.grow_to(offset.saturating_add(len));
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.top() {
            Some(top) => {
                top.set_size(len);
                Ok(())
            }
            None => self.base.set_len(len),
        }
    }

    fn size(&self) -> io::Result<u64> {
        match self.top() {
            Some(top) => Ok(top.size()),
            None => self.base.size(),
        }
    }

    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        match self.top() {
            Some(top) => self.seek_layers(&top, extent, offset),
            None => self.base.seek(extent, offset),
        }
    }

    fn clone_to(&self, file: &File) -> io::Result<()> {
        match self.top() {
            Some(_) => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
            None => self.base.clone_to(file),
        }
    }

    fn blocks(&self) -> io::Result<u64> {
        let stored = self.base.blocks()?;
        Ok(stored + self.stored_bytes() / 512)
    }

    fn read_only(&self) -> bool {
        self.base.read_only() && !self.is_scratch
    }

    fn lock(&self) -> io::Result<bool> {
        self.base.lock()
    }

    fn unlock(&self) -> io::Result<()> {
        match self.top() {
            // It must stay as it is.
            Some(_) => Ok(()),
            None => self.base.unlock(),
        }
    }
}
