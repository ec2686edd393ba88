//! A layer: what an image holds in other ways than what lies below it.
//!
//! The lock of a layer is held for map operations alone. What is read meanwhile stays right: a layer that is frozen changes
//! only when it absorbs its parent, which leaves all that it reads as, and the files that others may be reading from.

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
    state: RwLock<State>,
    is_ground: bool,
}

#[derive(Debug)]
struct State {
    parent: Option<Arc<Layer>>,
    /// None as long as it has no data: the ground of an image often never has.
    file: Option<Arc<File>>,
    held: RangeMap<Content>,
    /// Of the image.
    size: u64,
}

/// What a layer has of ranges that were asked for.
pub(super) struct Found {
    pub(super) parts: Vec<(Range<u64>, Content)>,
    /// What it does not have.
    pub(super) gaps: Vec<Range<u64>>,
    file: Option<Arc<File>>,
    pub(super) parent: Option<Arc<Layer>>,
}

/// All that a layer has.
pub(super) struct Held {
    /// First to last.
    pub(super) parts: Vec<(Range<u64>, Content)>,
    file: Option<Arc<File>>,
}

/// What a layer has at a place.
pub(super) struct At {
    /// None where it has nothing.
    pub(super) content: Option<Content>,
    /// Where that ends.
    pub(super) end: u64,
    pub(super) parent: Option<Arc<Layer>>,
}

/// Reads data of a layer from its file.
fn read_file(file: Option<&Arc<File>>, target: &mut [u8], offset: u64) -> io::Result<()> {
    let file = file.ok_or(io::ErrorKind::UnexpectedEof)?;
    file.read_exact_at(target, offset)
}

impl Found {
    /// Reads data of one of the parts.
    pub(super) fn read(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        read_file(self.file.as_ref(), target, offset)
    }
}

impl Held {
    /// Reads data of one of the parts.
    pub(super) fn read(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        read_file(self.file.as_ref(), target, offset)
    }
}

impl Layer {
    /// The ground of an image of `size` bytes: the lowest layer, which has nothing unless [`LayeredImage::write_back`] had to
    /// save something from being overwritten.
    ///
    /// [`LayeredImage::write_back`]: super::LayeredImage::write_back
    pub(super) fn ground(size: u64) -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::new(State {
                parent: None,
                file: None,
                held: RangeMap::default(),
                size,
            }),
            is_ground: true,
        })
    }

    /// A layer that has nothing yet, above `parent`, which has `parent_size` bytes, of an image of `size` bytes.
    pub(super) fn new(
        file: File,
        parent: Option<Arc<Self>>,
        parent_size: u64,
        size: u64,
    ) -> Arc<Self> {
        let mut state = State {
            parent,
            file: Some(Arc::new(file)),
            held: RangeMap::default(),
            size: parent_size,
        };
        state.set_size(size);
        Arc::new(Self {
            state: RwLock::new(state),
            is_ground: false,
        })
    }

    pub(super) fn is_ground(&self) -> bool {
        self.is_ground
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
            file: state.file.clone(),
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

    /// All that it has.
    pub(super) fn held(&self) -> Held {
        let state = self.state.read();
        let parts = state.held.within(0..u64::MAX);
        Held {
            parts: parts.map(|(part, content)| (part, *content)).collect(),
            file: state.file.clone(),
        }
    }

    /// What its file takes on the host, in bytes.
    pub(super) fn stored_bytes(&self) -> u64 {
        let file = self.state.read().file.clone();
        let found = file.and_then(|file| file.metadata().ok());
        found.map_or(0, |found| found.blocks() * 512)
    }

    pub(super) fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        let file = self.state.read().file.clone();
        let file = file.ok_or(io::ErrorKind::ReadOnlyFilesystem)?;
        let done = file.write_at(data, offset)?;
        let mut state = self.state.write();
        state.grow_to(offset);
        let end = offset + done as u64;
        state.size = state.size.max(end);
        state.held.insert_joined(offset..end, Content::Data);
        Ok(done)
    }

    pub(super) fn write_all(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            match self.write_some(&data[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => done += n,
            }
        }
        Ok(())
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
        let file = state.file.clone();
        drop(state);
        let file = file.as_deref();
        stored.iter().for_each(|part| give_back(file, part));
    }

    /// Gives it a file, if it has none.
    pub(super) fn take_file(&self, new: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        let has_one = self.state.read().file.is_some();
        if !has_one {
            let file = new()?;
            self.state.write().file = Some(Arc::new(file));
        }
        Ok(())
    }

    /// Takes over what its parent has and it has not. Nobody else needs the parent, and neither of them is the top layer.
    /// The data of the one that has less are copied to the file of the other, at places where nobody reads there.
    pub(super) fn absorb(&self, parent: &Self) -> io::Result<()> {
        let (own, lower) = (self.held(), parent.held());
        let size = self.size();
        let mut united = RangeMap::default();
        let mut rest = RangeMap::default();
        for (part, content) in &lower.parts {
            united.insert(part.clone(), *content);
            rest.insert(part.clone(), *content);
        }
        for (part, content) in &own.parts {
            rest.remove(part);
            united.insert_joined(part.clone(), *content);
        }
        united.remove(&(size..u64::MAX));
        rest.remove(&(size..u64::MAX));
        let rest: Vec<_> = rest
            .within(0..size)
            .map(|(part, content)| (part, *content))
            .collect();
        let file = match data_bytes(&own.parts) < data_bytes(&rest) {
            true => {
                copy_data(&own, &own.parts, lower.file.as_deref())?;
                lower.file.clone()
            }
            false => {
                copy_data(&lower, &rest, own.file.as_deref())?;
                own.file.clone()
            }
        };
        let mut state = self.state.write();
        state.held = united;
        state.file.clone_from(&file);
        state.parent = parent.parent();
        drop(state);
        // What it has as zeros is not in its file.
        for (part, _) in own
            .parts
            .iter()
            .filter(|(_, content)| *content == Content::Zeros)
        {
            give_back(file.as_deref(), part);
        }
        Ok(())
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

/// Gives back the storage of a part of a file that is not read any more.
fn give_back(file: Option<&File>, part: &Range<u64>) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let _ = file.map(|file| sys::fallocate(file, mode, part.start, part.end - part.start));
}

fn data_bytes(parts: &[(Range<u64>, Content)]) -> u64 {
    let data = parts
        .iter()
        .filter(|(_, content)| *content == Content::Data);
    data.map(|(part, _)| part.end - part.start).sum()
}

/// Copies the data of these parts to the same places of `to`.
fn copy_data(from: &Held, parts: &[(Range<u64>, Content)], to: Option<&File>) -> io::Result<()> {
    for (part, _) in parts
        .iter()
        .filter(|(_, content)| *content == Content::Data)
    {
        for piece in pieces(part) {
            let mut data = vec![0; (piece.end - piece.start) as usize];
            from.read(&mut data, piece.start)?;
            let to = to.ok_or(io::ErrorKind::ReadOnlyFilesystem)?;
            to.write_all_at(&data, piece.start)?;
        }
    }
    Ok(())
}

/// A range in pieces that are copied at once.
pub(super) fn pieces(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    const PIECE: u64 = 1 << 20;
    let Range { start, end } = *range;
    let starts = (start..end).step_by(PIECE as usize);
    starts.map(move |at| at..(at + PIECE).min(end))
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
