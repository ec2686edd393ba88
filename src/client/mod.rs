//! A mount seen from outside: what a shell does with its files, for the command line and for Lua.

mod data;
mod disk;
mod error;
mod mount;
mod stats;

pub use data::{DataError, DataFile};
pub use disk::{DiskControl, Waiting};
pub use error::ClientError;
pub use mount::MountClient;
pub use stats::Stats;
