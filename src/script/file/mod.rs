//! One test file: its declarations, its tests, its end.

mod declare;
mod keep;
mod leave;
mod one_test;
mod reset;
mod run;

pub(super) use declare::test;
pub use run::{FileOptions, run_file};
