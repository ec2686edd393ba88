//! A VM: QEMU, its guest, its disks and its saved states. Knows nothing of Lua.
//!
//! `qemu` starts the process and talks to it, `guest` is what runs inside, `disks` are the disks with their mount,
//! `warm` goes on from saved states. The files beside them tie these together: a `Machine` is one run of QEMU, a
//! `Vm` may have several, one after the other.

pub mod answers;
mod boot;
mod boot_options;
mod disks;
mod error;
mod folder;
mod guest;
mod lifecycle;
mod limit;
mod machine;
mod qemu;
mod warm;

pub use boot_options::{BootFile, BootOptions};
pub use disks::holders::{Holder, holders};
pub use disks::policy::Policy;
pub use disks::record::{AttachOptions, DEFAULT_DISK_SIZE, DiskRecord};
pub use error::VmError;
pub use folder::{await_clean_up, remove_leftovers};
pub use guest::boot_files::{DEFAULT_GUEST, Guest};
pub use guest::command::{Command, Exit, RunResult};
pub use guest::console::end_of as console_end;
pub use guest::files::{Entry, FileStat};
pub use guest::terminal::Terminal;
pub use lifecycle::{State, Vm};
pub use limit::Limit;
pub use machine::Process;
pub use qemu::accel::{Kvm, kvm};
pub use qemu::process::PROGRAM;
pub use warm::{SavedState, Store as WarmStore};
