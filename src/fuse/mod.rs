//! The front end that speaks FUSE: it turns inodes and handles into calls to `disk` and `control`. It does not know
//! faults.

mod adapter;
mod attr;
#[doc(hidden)]
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

pub use attr::Access;
pub use session::{FrontEnd, Session};
