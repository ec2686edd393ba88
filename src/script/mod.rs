//! Lua: the tests of one file, and the objects they see. Converts and delegates.

mod arguments;
mod bind;
mod context;
mod disk;
mod disk_faults;
mod disk_policy;
mod duration;
mod file;
mod files;
mod globals;
mod json;
mod keep;
mod raised;
mod run;
mod session;
mod settings;
mod signature;
mod state;
mod vm;
mod vm_options;

pub use file::{FileOptions, run_file};
pub use session::{Evaluated, Session};
