//! The FUSE adapter: inodes and handles in, calls to `disk` and `control` out. Knows no fault.

mod adapter;
mod attr;
#[cfg(feature = "testing")]
pub mod bare;
mod cache;
mod control_calls;
mod data_calls;
mod handles;
mod inode;
mod kernel;
mod loops;
mod provium;
mod reply;
mod session;
mod stream;
mod tree;

pub use session::{FrontEnd, Session};
