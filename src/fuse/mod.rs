//! The FUSE adapter: inodes and handles in, calls to `disk` and `control` out. Knows no fault.

mod adapter;
mod attr;
mod bare;
mod cache;
mod handles;
mod inode;
mod lookout;
mod loops;
mod reply;
mod session;
mod stream;
mod tree;

pub use bare::serve_bare;
pub use session::{MountError, Options, Server, check_mount_point};
