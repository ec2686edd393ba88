//! The control files: what each reads as, and what it accepts.

mod file;
mod text;
mod tree;

pub use file::{ControlFile, DiskFile};
pub use text::Text;
pub use tree::Control;
