//! The guest: what it boots, its agent, its commands and files, and its console.

pub(in crate::vm) mod agent;
pub(in crate::vm) mod boot_files;
pub(in crate::vm) mod command;
pub(in crate::vm) mod console;
pub(in crate::vm) mod files;
pub(in crate::vm) mod terminal;
