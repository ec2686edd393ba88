//! A VM: QEMU, its guest, its disks and its saved states. Knows nothing of Lua.
//!
//! `qemu` starts the process and talks to it. `guest` is what runs inside. `disks` are the disks with their mount.
//! `warm` saves states and goes on from them, `snapshot` goes back. The files beside these folders tie them together: a `Machine` is one
//! run of QEMU, and a [`Vm`] has several, one after the other.

#[cfg(feature = "testing")]
pub mod answers;
mod boot;
mod boot_options;
mod boot_plan;
mod cold_boot;
mod disks;
mod error;
mod folder;
mod guest;
mod health;
mod io_error;
mod lifecycle;
mod limit;
mod machine;
mod power;
mod power_cut;
mod power_loss;
mod power_watch;
mod qemu;
mod snapshot;
mod state;
mod stopped_request;
mod templates;
mod warm;

pub use boot_options::{BootFile, BootOptions};
pub use disks::holders::{Holder, holders};
pub use disks::policy::Policy;
pub use disks::record::{DEFAULT_DISK_SIZE, DiskRecord};
pub use disks::replay::{Recorded, ReplayOf};
pub use error::VmError;
pub use guest::boot_files::Guest;
pub use guest::command::{Command, Exit, RunResult};
pub use guest::console::end_of as console_end;
pub use guest::files::{Entry, FileStat};
pub use guest::process::Process;
pub use guest::terminal::Terminal;
pub use lifecycle::{OnNewDisk, Vm};
pub use limit::{Limit, Narrowed, Preparing};
pub use power_cut::cut_and_return;
pub use power_loss::CutReports;
pub use qemu::accel::{Kvm, kvm};
pub use qemu::process::PROGRAM;
pub use snapshot::{Checkpoints, RestoreClock, VmSnapshot};
pub use state::{Expected, State};
pub use stopped_request::IoError;
pub use templates::{Template, TemplateStore};
pub use warm::{SavedState, Store as WarmStore};
