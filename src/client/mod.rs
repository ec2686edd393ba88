//! A mount seen from outside. The command line and Lua do with its files what a shell does.

mod data;
mod disk;
mod durability;
mod error;
mod mount;
mod stats;
mod streams;
mod swept_disk;

pub use data::{DataError, DataFile};
pub use disk::{DiskControl, Waiting};
pub use durability::Events;
pub use error::ClientError;
pub use mount::MountClient;
pub use stats::Stats;
pub use streams::{Decisions, Trace};
pub use swept_disk::SweptDisk;
