//! A fault-injection filesystem for virtual disks.
//!
//! The layers are listed in docs/architecture.md, lowest first.

pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod crash;
pub mod disk;
pub mod events;
pub mod evidence;
pub mod fault;
pub mod filesystem;
pub mod fuse;
pub mod html;
pub mod os;
pub mod profile;
pub mod protocol;
pub mod runner;
pub mod script;
pub mod server;
pub mod storage;
pub mod sweep;
pub mod units;
pub mod vm;
