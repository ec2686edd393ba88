//! Running test files, one process each: finding, selecting, scheduling, judging. The engine emits
//! events; reporters draw them.

mod discover;
mod failures;
mod file_runner;
mod github;
mod human;
mod json;
mod junit;
mod last;
mod leave;
mod list;
mod memory;
mod names;
mod options;
mod places;
mod quiet;
mod report;
mod run;
mod select;
mod shrink;
mod shrunk_file;
mod stop;
mod story;
mod sweeps;
mod tap;
mod tries;
mod worker;

pub use discover::{DiscoverError, discover, is_test_file};
pub use failures::Again;
pub use github::GithubReporter;
pub use human::HumanReporter;
pub use json::{JsonReporter, escape_controls};
pub use junit::JunitReporter;
pub use last::{last_failed, remember_failed};
pub use list::list;
pub use memory::{default_jobs, memory_of_a_file};
pub use options::{Job, RunOptions, Tests};
pub use quiet::QuietReporter;
pub use report::{Report, Reporter, Stopped, Summary};
pub use run::{Rounds, run};
pub use select::{Partition, Selected, Selection, TestId, shuffle};
pub use shrink::{Progress, ShrinkError, Shrinker, Shrunk, Target};
pub use stop::Stop;
pub use tap::TapReporter;
pub use worker::KEEP;
