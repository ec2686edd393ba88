//! The control files: what each reads as, and what it accepts.

mod text;
mod tree;

pub use text::Text;
pub use tree::Control;
