//! Keeping the chain of layers short: a layer that only one other needs becomes one with it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::layer::Layer;
use super::{Frozen, LayeredImage};

/// A layer that nobody needs but the one above it, and that one.
#[derive(Debug)]
pub struct LayerPair {
    lower: Arc<Layer>,
    upper: Arc<Layer>,
}

impl LayeredImage {
    /// Two layers that can be one, while `kept` is what may still be returned to.
    pub fn pair(&self, kept: &[Frozen]) -> Option<LayerPair> {
        let current = self.top();
        let kept: Vec<_> = kept.iter().map(|frozen| &frozen.layer).collect();
        let is_kept = |layer: &Arc<Layer>| {
            let mut kept = kept.iter().filter_map(|layer| layer.as_ref());
            kept.any(|kept| Arc::ptr_eq(kept, layer))
        };
        let is_top =
            |layer: &Arc<Layer>| current.as_ref().is_some_and(|top| Arc::ptr_eq(top, layer));
        // The layers above each that is known, by its address; one if they are one.
        let mut above: HashMap<*const Layer, Option<Arc<Layer>>> = HashMap::new();
        let tops = kept.iter().filter_map(|layer| (*layer).clone());
        for top in tops.chain(current.clone()) {
            let mut upper = top;
            while let Some(lower) = upper.parent() {
                let known = above.entry(Arc::as_ptr(&lower));
                let only = known.or_insert_with(|| Some(Arc::clone(&upper)));
                if only.as_ref().is_some_and(|only| !Arc::ptr_eq(only, &upper)) {
                    *only = None;
                }
                upper = lower;
            }
        }
        let mut pairs = above.into_values().flatten().filter_map(|upper| {
            let lower = upper.parent()?;
            let is_free = !is_kept(&lower) && !is_top(&upper) && !lower.is_ground();
            is_free.then_some(LayerPair { lower, upper })
        });
        pairs.next()
    }
}

impl LayerPair {
    /// Makes one of them. It copies data, and so may take long. Requests may be under way, and the layers above may change;
    /// no other pair of the image is united meanwhile.
    pub fn unite(self) -> io::Result<()> {
        self.upper.absorb(&self.lower)
    }
}
