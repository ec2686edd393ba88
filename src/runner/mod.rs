//! Running test files, one process each: finding, scheduling, judging. The engine emits events;
//! reporters draw them.

mod discover;
mod event;
mod human;
mod run;
mod worker;

pub use discover::{DiscoverError, discover};
pub use event::{Event, Outcome};
pub use human::HumanReporter;
pub use run::{Report, Reporter, RunOptions, Summary, run};
