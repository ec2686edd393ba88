//! How values are written and read: sizes, durations, numbers in sentences, names that are close to each
//! other, and texts of unknown content.

mod count;
pub mod duration;
mod hash;
mod listed;
mod nearest;
mod probability;
mod range_map;
mod shrink;
pub mod size;
pub mod text;

pub use count::{counted, ordinal};
pub use hash::fnv;
pub(crate) use listed::listed;
pub use nearest::nearest;
pub use probability::Probability;
pub use range_map::RangeMap;
pub use shrink::shrink;
