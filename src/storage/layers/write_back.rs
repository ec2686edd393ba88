//! Writing what layers hold into the image below them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::layer::Content;
use super::{Discarded, LayeredImage};
use crate::storage::Image;
use crate::units::RangeMap;

/// Bytes that are written at once.
const PIECE: u64 = 1 << 20;

impl LayeredImage {
    /// Writes what the layers hold into the image, which is durable afterwards and has no layer any more. No change is
    /// under way, and nothing that was [frozen](Self::freeze) is returned to. Returns what is not needed any more. After an
    /// error the layers are as they were; the image has a part of it.
    pub fn write_back(&self) -> io::Result<Discarded> {
        let Some(top) = self.top() else {
            return Ok(self.set_top(None));
        };
        let (size, base) = (top.size(), &*self.base);
        let has = base.size()?;
        if has < size {
            base.set_len(size)?;
        }
        let (changes, files) = self.changes();
        for (range, (layer, content)) in changes.within(0..size) {
            match content {
                Content::Data => copy_range(&files[*layer], base, &range)?,
                Content::Zeros => erase(base, &range)?,
            }
        }
        if has > size {
            base.set_len(size)?;
        }
        base.flush(false)?;
        Ok(self.set_top(None))
    }

    /// What the layers hold: for each range the number of the layer, whose files come with it.
    fn changes(&self) -> (RangeMap<(usize, Content)>, Vec<Arc<File>>) {
        let (mut changes, mut files) = (RangeMap::default(), Vec::new());
        for layer in self.chain().into_iter().rev() {
            let (parts, file) = layer.held();
            for (part, content) in parts {
                changes.insert_joined(part, (files.len(), content));
            }
            files.push(file);
        }
        (changes, files)
    }
}

fn copy_range(file: &File, image: &dyn Image, range: &Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE.min(range.end - range.start) as usize];
    let mut at = range.start;
    while at < range.end {
        let len = PIECE.min(range.end - at) as usize;
        file.read_exact_at(&mut buffer[..len], at)?;
        image.write_at(&buffer[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

fn erase(image: &dyn Image, range: &Range<u64>) -> io::Result<()> {
    let len = range.end - range.start;
    match image.discard(range.start, len) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            image.write_zeroes(range.start, len, true)
        }
        result => result,
    }
}
