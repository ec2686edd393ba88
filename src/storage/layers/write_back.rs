//! Writing what layers hold into the image below them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::layer::{Content, Held, Layer, pieces};
use super::{Discarded, LayeredImage};
use crate::storage::Image;
use crate::storage::copy::{next_data, next_hole};
use crate::units::RangeMap;

/// Bytes of a range in which no hole is looked for. A file system may look at each page up to the next hole, however far it
/// is: tmpfs does.
const SHORT: u64 = 64 << 10;

/// Why an image does not hold what its layers hold. They still do.
#[derive(Debug)]
pub struct WriteBackError {
    /// What the host said.
    pub cause: io::Error,
    /// What was frozen is lost: the image has changed, and there was no room for what it held.
    pub is_lost: bool,
}

impl LayeredImage {
    /// Writes what the layers hold into the image, which is durable afterwards and has no layer any more. No change is
    /// under way. Returns what is not needed any more.
    ///
    /// After an error the image has a part of it. With `keeps`, what was frozen can still be returned to then: what is
    /// overwritten is kept, as far as there is room for it.
    pub fn write_back(&self, keeps: bool) -> Result<Discarded, WriteBackError> {
        let ground = self.chain().pop().filter(|layer| layer.is_ground());
        let mut kept = Kept {
            ground: ground.filter(|_| keeps),
            is_lost: !keeps,
        };
        match self.write_layers(&mut kept) {
            Ok(()) => Ok(self.set_top(None)),
            Err(cause) => Err(WriteBackError {
                cause,
                is_lost: kept.is_lost,
            }),
        }
    }

    fn write_layers(&self, kept: &mut Kept) -> io::Result<()> {
        let Some(top) = self.top() else {
            return Ok(());
        };
        let (size, base) = (top.size(), &*self.base);
        let has = base.size()?;
        if has < size {
            base.set_len(size)?;
        }
        let (changes, layers) = self.changes();
        for (range, (layer, content)) in changes.within(0..size) {
            kept.keep(self, &range)?;
            match content {
                Content::Data => copy_range(&layers[*layer], base, &range)?,
                Content::Zeros => erase(base, &range)?,
            }
        }
        if has > size {
            kept.keep(self, &(size..has))?;
            base.set_len(size)?;
        }
        base.flush(false)
    }

    /// What the layers hold: for each range the number of the layer. All of them come with it.
    fn changes(&self) -> (RangeMap<(usize, Content)>, Vec<Held>) {
        let (mut changes, mut layers) = (RangeMap::default(), Vec::new());
        // What is kept at the ground is not to be written.
        let above_ground = self.chain().into_iter().filter(|layer| !layer.is_ground());
        for layer in above_ground.collect::<Vec<_>>().into_iter().rev() {
            let held = layer.held();
            for (part, content) in &held.parts {
                changes.insert_joined(part.clone(), (layers.len(), *content));
            }
            layers.push(held);
        }
        (changes, layers)
    }
}

/// What an image held, where it is overwritten.
struct Kept {
    /// Where it is kept.
    ground: Option<Arc<Layer>>,
    /// There was no room for some of it.
    is_lost: bool,
}

impl Kept {
    /// Keeps what the image holds in the range, unless that is kept already.
    fn keep(&mut self, image: &LayeredImage, range: &Range<u64>) -> io::Result<()> {
        let Some(ground) = self.ground.clone() else {
            return Ok(());
        };
        for gap in ground.find(std::slice::from_ref(range)).gaps {
            if !keep_at(&ground, image, &gap)? {
                (self.ground, self.is_lost) = (None, true);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Copies what the image holds in the range to its ground. False when there is no room.
fn keep_at(ground: &Layer, image: &LayeredImage, range: &Range<u64>) -> io::Result<bool> {
    let (mut at, end) = (range.start, range.end.min(ground.size()));
    let base = &*image.base;
    while at < end {
        let data = next_data(base, at, end)?;
        ground.zero(at, data - at);
        if data == end {
            break;
        }
        at = match end - data {
            ..=SHORT => end,
            _ => next_hole(base, data, end),
        };
        for piece in pieces(&(data..at)) {
            let mut content = vec![0; (piece.end - piece.start) as usize];
            base.read_at(&mut content, piece.start)?;
            let is_zero = content.iter().all(|byte| *byte == 0);
            let kept = match is_zero {
                true => {
                    ground.zero(piece.start, piece.end - piece.start);
                    Ok(())
                }
                false => ground
                    .take_file(|| image.folder.new_file())
                    .and_then(|()| ground.write_all(&content, piece.start)),
            };
            if kept.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn copy_range(layer: &Held, image: &dyn Image, range: &Range<u64>) -> io::Result<()> {
    for piece in pieces(range) {
        let mut data = vec![0; (piece.end - piece.start) as usize];
        layer.read(&mut data, piece.start)?;
        image.write_at(&data, piece.start)?;
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
