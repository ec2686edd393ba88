//! How values are written and read: sizes, durations, names that are close to each other, and texts of
//! unknown content.

pub mod duration;
mod hash;
mod nearest;
pub mod size;
pub mod text;

pub use hash::fnv;
pub use nearest::nearest;
