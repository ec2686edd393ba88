//! What both sides of a mount agree on: the names and limits in it, error numbers, the lines of its
//! control files, and the ioctls.

pub mod disk_options;
mod errno;
pub mod names;

pub use errno::{BadErrno, Errno};
