//! What both sides of a mount agree on: the names and limits in it, error numbers, the lines of its
//! control files, and the ioctls.

mod control_files;
pub mod disk_options;
mod errno;
mod line;
pub mod names;
mod rejection;

pub use control_files::{ControlFile, ControlPath, DiskFile, Reads, Writes};
pub use errno::{BadErrno, Errno};
pub use line::BadLine;
pub use rejection::Rejection;
