//! The disks of a VM: their mount, attaching and detaching, and which of their errors the guest sees.

mod attach;
mod boot_disks;
mod guest_errno;
pub(in crate::vm) mod held;
pub(in crate::vm) mod holders;
mod hotplug;
mod let_go;
pub(in crate::vm) mod list;
mod log;
pub(in crate::vm) mod mount_server;
mod nvme_paths;
pub(in crate::vm) mod policy;
pub(in crate::vm) mod record;
pub(in crate::vm) mod replay;
mod resize;
mod source;
mod surprise;
mod visibility;
