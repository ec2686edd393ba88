//! Lua: the tests of one file, and the objects they see. Converts and delegates.

mod bind;
mod context;
mod disk;
mod file;
mod globals;
mod host_path;
mod json;
mod raised;
mod replay;
mod replaying;
mod session;
mod settings;
mod setup;
mod state;
mod states;
mod sweep;
mod vm;

pub use file::{FileOptions, run_file};
pub use session::{Evaluated, Session};
