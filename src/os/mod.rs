//! The operating system: system calls, /proc, the table of mounts, locks, folders and logs.

pub mod capped_log;
pub mod colour;
pub mod folders;
pub mod log;
pub mod memory_file;
pub mod mount_users;
pub mod mounts;
pub mod poll;
pub mod proc;
pub mod process;
pub mod run_folder;
pub mod server_lock;
pub mod shell;
pub mod sys;
pub mod terminal;
pub mod thread;
