//! Snapshots of a VM: going back to what it was, in the same QEMU or in another one.

mod devices;
mod flushes;
mod image;
mod machine;
mod memory;
mod past;
mod restore;
mod save;
mod taken;

pub(super) use past::{Moment, Past};
pub use restore::RestoreClock;
pub use taken::{Checkpoints, VmSnapshot};
