//! A guest: QEMU, its agent, its console, its disks. Knows nothing of Lua.

mod accel;
mod agent;
mod arguments;
mod attach;
mod channel;
mod console;
mod disk;
mod error;
mod exec;
mod files;
mod folder;
mod guest;
mod holders;
mod lifecycle;
mod limit;
mod machine;
mod mount_server;
mod qemu;
mod qmp;
mod raw;
mod terminal;
mod visibility;

pub use accel::{Kvm, kvm};
pub use console::end_of as console_end;
pub use disk::{AttachOptions, DEFAULT_DISK_SIZE, DiskRecord};
pub use error::VmError;
pub use exec::{Command, Exit, RunResult};
pub use files::FileStat;
pub use folder::{await_clean_up, remove_leftovers};
pub use guest::{DEFAULT_GUEST, Guest};
pub use holders::{Holder, holders};
pub use lifecycle::{BootDisk, BootFile, BootImage, BootOptions, State, Vm};
pub use limit::Limit;
pub use machine::Process;
pub use qemu::PROGRAM;
pub use terminal::Terminal;
