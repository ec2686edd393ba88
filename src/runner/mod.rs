//! Running test files, one process each: finding, selecting, scheduling, judging. The engine emits
//! events; reporters draw them.

mod discover;
mod human;
mod json;
mod junit;
mod last;
mod memory;
mod names;
mod run;
mod select;
mod stop;
mod story;
mod tap;
mod worker;

pub use discover::{DiscoverError, discover, is_test_file};
pub use human::HumanReporter;
pub use json::JsonReporter;
pub use junit::JunitReporter;
pub use last::{last_failed, remember_failed};
pub use memory::{default_jobs, memory_of_a_file};
pub use run::{Job, Report, Reporter, Rounds, RunOptions, Summary, Tests, list, run};
pub use select::{Partition, Selected, Selection, TestId, shuffle};
pub use stop::Stop;
pub use tap::TapReporter;
pub use worker::KEEP;
