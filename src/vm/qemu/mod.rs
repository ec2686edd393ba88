//! QEMU: its arguments, its process, and the channels to it.

pub(in crate::vm) mod accel;
pub(in crate::vm) mod arguments;
pub(in crate::vm) mod board;
pub(in crate::vm) mod channel;
pub(in crate::vm) mod drive;
pub(in crate::vm) mod nvme_paths;
pub(in crate::vm) mod ports;
pub(in crate::vm) mod process;
pub(in crate::vm) mod qmp;
pub(in crate::vm) mod qtest;
pub(in crate::vm) mod raw;
pub(in crate::vm) mod stopped;
pub(in crate::vm) mod target;
