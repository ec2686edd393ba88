//! A layer: what an image holds in other ways than what lies below it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::os::sys;
use crate::units::RangeMap;

/// What a layer has for a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// They are in its file, at their own places.
    Data,
    Zeros,
}

/// What an image holds in other ways than its parent, or than the file below where it has none. A layer that is not the
/// top one does not change.
#[derive(Debug)]
pub(super) struct Layer {
    /// Held for map operations.
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    parent: Option<Arc<Layer>>,
    file: Arc<File>,
    held: RangeMap<Content>,
    /// Of the image.
    size: u64,
}

/// What a layer has of ranges that were asked for.
pub(super) struct Found {
    pub(super) parts: Vec<(Range<u64>, Content)>,
    /// What it does not have.
    pub(super) gaps: Vec<Range<u64>>,
    pub(super) file: Arc<File>,
    pub(super) parent: Option<Arc<Layer>>,
}

/// What a layer has at a place.
pub(super) struct At {
    /// None where it has nothing.
    pub(super) content: Option<Content>,
    /// Where that ends.
    pub(super) end: u64,
    pub(super) parent: Option<Arc<Layer>>,
}

impl Layer {
    /// A layer that has nothing yet, above `parent`, which has `parent_size` bytes, of an image of `size` bytes.
    pub(super) fn new(
        file: File,
        parent: Option<Arc<Self>>,
        parent_size: u64,
        size: u64,
    ) -> Arc<Self> {
        let mut state = State {
            parent,
            file: Arc::new(file),
            held: RangeMap::default(),
            size: parent_size,
        };
        state.set_size(size);
        Arc::new(Self {
            state: RwLock::new(state),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.state.read().size
    }

    pub(super) fn parent(&self) -> Option<Arc<Self>> {
        self.state.read().parent.clone()
    }

    /// Whether it is the same as what lies below it, of `below` bytes.
    pub(super) fn is_untouched(&self, below: u64) -> bool {
        let state = self.state.read();
        state.held.is_empty() && state.size == below
    }

    /// What it has of `ranges`.
    pub(super) fn find(&self, ranges: &[Range<u64>]) -> Found {
        let state = self.state.read();
        let (mut parts, mut gaps) = (Vec::new(), Vec::new());
        for range in ranges {
            let mut at = range.start;
            for (part, content) in state.held.within(range.clone()) {
                if at < part.start {
                    gaps.push(at..part.start);
                }
                at = part.end;
                parts.push((part, *content));
            }
            if at < range.end {
                gaps.push(at..range.end);
            }
        }
        Found {
            parts,
            gaps,
            file: Arc::clone(&state.file),
            parent: state.parent.clone(),
        }
    }

    /// What it has at `at`, and up to where, at most up to `limit`.
    pub(super) fn at(&self, at: u64, limit: u64) -> At {
        let state = self.state.read();
        let parent = state.parent.clone();
        match state.held.within(at..limit).next() {
            Some((part, content)) if part.start == at => At {
                content: Some(*content),
                end: part.end,
                parent,
            },
            next => At {
                content: None,
                end: next.map_or(limit, |(part, _)| part.start),
                parent,
            },
        }
    }

    /// All that it has, first to last.
    pub(super) fn held(&self) -> (Vec<(Range<u64>, Content)>, Arc<File>) {
        let state = self.state.read();
        let parts = state.held.within(0..u64::MAX);
        let parts = parts.map(|(part, content)| (part, *content));
        (parts.collect(), Arc::clone(&state.file))
    }

    /// What its file takes on the host, in bytes.
    pub(super) fn stored_bytes(&self) -> u64 {
        let file = Arc::clone(&self.state.read().file);
        file.metadata().map_or(0, |found| found.blocks() * 512)
    }

    pub(super) fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        let file = Arc::clone(&self.state.read().file);
        let done = file.write_at(data, offset)?;
        let mut state = self.state.write();
        state.grow_to(offset);
        let end = offset + done as u64;
        state.size = state.size.max(end);
        state.held.insert_joined(offset..end, Content::Data);
        Ok(done)
    }

    /// Makes the range read as zeros, as far as the image goes.
    pub(super) fn zero(&self, offset: u64, len: u64) {
        let mut state = self.state.write();
        let range = offset..offset.saturating_add(len).min(state.size);
        if range.start >= range.end {
            return;
        }
        let stored = state.held.within(range.clone());
        let stored = stored.filter(|(_, content)| **content == Content::Data);
        let stored: Vec<_> = stored.map(|(part, _)| part).collect();
        state.held.insert_joined(range, Content::Zeros);
        let file = Arc::clone(&state.file);
        drop(state);
        // It reads as zeros in any case.
        for part in stored {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            let _ = sys::fallocate(&file, mode, part.start, part.end - part.start);
        }
    }

    /// Lets the image end at `end` at least.
    pub(super) fn grow_to(&self, end: u64) {
        self.state.write().grow_to(end);
    }

    /// Lets the image end at `size`.
    pub(super) fn set_size(&self, size: u64) {
        self.state.write().set_size(size);
    }
}

impl State {
    fn grow_to(&mut self, end: u64) {
        if self.size < end {
            self.held.insert_joined(self.size..end, Content::Zeros);
            self.size = end;
        }
    }

    fn set_size(&mut self, size: u64) {
        self.grow_to(size);
        self.size = size;
        // What comes back behind it later is zeros.
        self.held.remove(&(size..u64::MAX));
    }
}
