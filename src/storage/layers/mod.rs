//! An image with layers above it: what it held at a moment stays, and changes go into a layer of their own.
//!
//! A frozen layer does not change any more; a layer that is written to lies above it, and others may later. So the layers
//! are a tree, of which the top layer, its parent and so on down to the image are what the disk holds. Without layers, all
//! requests go to the image, past one branch.

mod folder;
mod image;
mod layer;
#[cfg(test)]
mod tests;
mod unite;
mod write_back;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::storage::Image;
pub use folder::LayerFolder;
use layer::Layer;
pub use unite::LayerPair;
pub use write_back::WriteBackError;

/// An image, and the layers above it, if there are any.
pub struct LayeredImage {
    base: Arc<dyn Image>,
    folder: Arc<LayerFolder>,
    /// Changes never reach the image.
    is_scratch: bool,
    /// Whether there is a top layer: all that a request of an image without layers looks at.
    is_layered: AtomicBool,
    /// The layer that is written to. It is replaced while no request is under way.
    top: RwLock<Option<Arc<Layer>>>,
    /// What the image held before the first layer is durable.
    is_base_flushed: AtomicBool,
}

/// What an image held at a moment. It stays for as long as this is there, and until layers are
/// [written back](LayeredImage::write_back).
#[derive(Clone, Debug)]
pub struct Frozen {
    /// None for an image that is only read.
    layer: Option<Arc<Layer>>,
    size: u64,
}

/// A layer that is not needed any more. Dropping it may take long.
#[derive(Debug)]
pub struct Discarded {
    _layer: Option<Arc<Layer>>,
}

impl LayeredImage {
    /// The image `base`, without layers. Those that come lie in `folder`.
    pub fn new(base: Arc<dyn Image>, folder: Arc<LayerFolder>) -> Self {
        Self {
            base,
            folder,
            is_scratch: false,
            is_layered: AtomicBool::new(false),
            top: RwLock::default(),
            is_base_flushed: AtomicBool::new(false),
        }
    }

    /// The image `base`, of which all changes are gone at the end. It has `size` bytes at least.
    pub fn scratch(
        base: Arc<dyn Image>,
        folder: Arc<LayerFolder>,
        size: Option<u64>,
    ) -> io::Result<Self> {
        let has = base.size()?;
        let size = has.max(size.unwrap_or(0));
        let top = Layer::new(folder.new_file()?, None, has, size);
        Ok(Self {
            is_scratch: true,
            is_layered: AtomicBool::new(true),
            top: RwLock::new(Some(top)),
            // It is only read.
            is_base_flushed: AtomicBool::new(true),
            ..Self::new(base, folder)
        })
    }

    /// The layer that is written to.
    #[inline]
    fn top(&self) -> Option<Arc<Layer>> {
        match self.is_layered.load(Ordering::SeqCst) {
            true => self.top.read().clone(),
            false => None,
        }
    }

    fn set_top(&self, top: Option<Arc<Layer>>) -> Discarded {
        let mut current = self.top.write();
        self.is_layered.store(top.is_some(), Ordering::SeqCst);
        Discarded {
            _layer: std::mem::replace(&mut current, top),
        }
    }

    /// Where its layers lie.
    pub fn folder(&self) -> &LayerFolder {
        &self.folder
    }

    /// Whether all changes are gone at the end.
    pub fn is_scratch(&self) -> bool {
        self.is_scratch
    }

    /// Whether it holds something that the image does not hold.
    pub fn has_layers(&self) -> bool {
        self.top().is_some()
    }

    /// Keeps what the image holds now. No change is under way.
    pub fn freeze(&self) -> io::Result<Frozen> {
        let top = self.top();
        if self.read_only() {
            let size = self.base.size()?;
            return Ok(Frozen { layer: None, size });
        }
        let frozen = match top {
            Some(top) => {
                let parent = top.parent();
                let below = match &parent {
                    Some(parent) => parent.size(),
                    None => self.base.size()?,
                };
                if top.is_untouched(below) {
                    return Ok(Frozen {
                        layer: parent,
                        size: below,
                    });
                }
                Frozen {
                    size: top.size(),
                    layer: Some(top),
                }
            }
            None => {
                self.is_base_flushed.store(false, Ordering::SeqCst);
                let size = self.base.size()?;
                Frozen {
                    layer: Some(Layer::ground(size)),
                    size,
                }
            }
        };
        drop(self.set_top(Some(self.layer_above(&frozen)?)));
        Ok(frozen)
    }

    fn layer_above(&self, frozen: &Frozen) -> io::Result<Arc<Layer>> {
        let file = self.folder.new_file()?;
        let Frozen { layer, size } = frozen.clone();
        Ok(Layer::new(file, layer, size, size))
    }

    /// Makes the image what it was. No change is under way. Returns what is not needed any more.
    pub fn return_to(&self, frozen: &Frozen) -> io::Result<Discarded> {
        let Some(top) = self.top() else {
            // It can only be read.
            return Ok(Discarded { _layer: None });
        };
        let is_there = match (&top.parent(), &frozen.layer) {
            (Some(parent), Some(layer)) => Arc::ptr_eq(parent, layer),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_there && top.is_untouched(frozen.size) {
            return Ok(Discarded { _layer: None });
        }
        Ok(self.set_top(Some(self.layer_above(frozen)?)))
    }

    /// The ranges that may read in another way after [`return_to`](Self::return_to).
    pub fn differences(&self, frozen: &Frozen) -> Vec<Range<u64>> {
        let chain = |top: Option<Arc<Layer>>| -> Vec<_> {
            std::iter::successors(top, |layer| layer.parent()).collect()
        };
        let (now, then) = (chain(self.top()), chain(frozen.layer.clone()));
        let not_in = |layer: &Arc<Layer>, other: &[Arc<Layer>]| {
            !other.iter().any(|one| Arc::ptr_eq(one, layer))
        };
        let only_now = now.iter().filter(|layer| not_in(layer, &then));
        let only_then = then.iter().filter(|layer| not_in(layer, &now));
        let held = only_now
            .chain(only_then)
            .flat_map(|layer| layer.held().parts);
        held.map(|(part, _)| part).collect()
    }

    /// What all layers below and at the top take on the host, in bytes.
    fn stored_bytes(&self) -> u64 {
        let chain = std::iter::successors(self.top(), |layer| layer.parent());
        chain.map(|layer| layer.stored_bytes()).sum()
    }

    /// The layers from the top down.
    fn chain(&self) -> Vec<Arc<Layer>> {
        std::iter::successors(self.top(), |layer| layer.parent()).collect()
    }

    /// How many layers a read may meet.
    pub fn depth(&self) -> usize {
        self.chain().len()
    }

    /// What the layers of the image and of `kept` take on the host, in bytes.
    pub fn layer_bytes<'a>(&self, kept: impl Iterator<Item = &'a Frozen>) -> u64 {
        let tops = kept.filter_map(|frozen| frozen.layer.clone());
        let mut layers: Vec<Arc<Layer>> = Vec::new();
        for top in tops.chain(self.top()) {
            for layer in std::iter::successors(Some(top), |layer| layer.parent()) {
                if layers.iter().any(|known| Arc::ptr_eq(known, &layer)) {
                    break;
                }
                layers.push(layer);
            }
        }
        layers.iter().map(|layer| layer.stored_bytes()).sum()
    }
}
