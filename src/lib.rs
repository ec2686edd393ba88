//! A fault-injection filesystem for virtual disks.
//!
//! The layers, each usable without those above it: [`fault`] decides, [`image`] stores, [`disk`]
//! serves, [`control`] is the files under `ctl/`, [`fs`] speaks FUSE. [`client`] is a mount seen
//! from outside, [`vm`] a guest, [`script`] Lua, [`runner`] the tests, [`cli`] the command line.
//! How they fit together is in docs/architecture.md.

pub mod busy;
pub mod cage;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod dirs;
pub mod disk;
pub mod disk_options;
pub mod duration;
pub mod fault;
pub mod flood;
pub mod fs;
pub mod image;
pub mod launch;
pub mod mount_options;
pub mod mounts;
pub mod names;
pub mod proc;
pub mod runner;
pub mod script;
pub mod server_lock;
pub mod size;
pub mod sys;
pub mod text;
pub mod vm;
