//! The FUSE adapter: inodes and handles in, calls to `disk` and `control` out. Knows no fault.

mod adapter;
mod attr;
#[cfg(feature = "testing")]
pub mod bare;
mod cache;
mod handles;
mod inode;
mod loops;
mod reply;
mod session;
mod stream;
mod tree;

pub use session::{FrontEnd, Session};
