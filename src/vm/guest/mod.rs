//! The guest: what it boots, its agent, its commands and files, its console and clock.

pub(in crate::vm) mod agent;
pub(in crate::vm) mod boot_files;
mod clock;
pub(in crate::vm) mod command;
pub(in crate::vm) mod console;
pub(in crate::vm) mod exec;
mod expect;
mod extents;
pub(in crate::vm) mod file_content;
pub(in crate::vm) mod files;
mod kernel_file;
pub(in crate::vm) mod kernel_version;
pub(in crate::vm) mod process;
pub(in crate::vm) mod terminal;
