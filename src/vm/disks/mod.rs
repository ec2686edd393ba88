//! The disks of a VM: their mount, attaching and detaching, and what the guest sees of their errors.

pub(in crate::vm) mod attach;
pub(in crate::vm) mod boot_disks;
pub(in crate::vm) mod held;
pub(in crate::vm) mod holders;
pub(in crate::vm) mod mount_server;
pub(in crate::vm) mod policy;
pub(in crate::vm) mod record;
pub(in crate::vm) mod visibility;
