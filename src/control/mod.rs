//! The control files: what each reads as, and what it accepts.

mod file;
mod tree;

pub use file::{ControlFile, DiskFile};
pub use tree::Control;
