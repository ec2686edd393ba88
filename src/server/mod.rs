//! A mount server from start to end: launching it, its options, its mount, its sandbox and its end.

mod detached;
mod end;
pub mod launch;
pub mod mount_point;
mod mount_words;
pub mod options;
pub mod sandbox;
pub mod serve;
mod start;
mod state_mount;
mod state_server;

pub use state_mount::StateMount;
pub use state_server::{StateServer, StatesServing, serve_states};
