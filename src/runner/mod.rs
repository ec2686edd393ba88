//! Running test files, one process each: finding, selecting, scheduling, judging. The engine emits
//! events; reporters draw them.

mod discover;
mod event;
mod human;
mod json;
mod junit;
mod last;
mod memory;
mod order;
mod run;
mod select;
mod stop;
mod story;
mod tap;
mod worker;

pub use discover::{DiscoverError, discover};
pub use event::{Event, KeptVm, Outcome, TestInfo};
pub use human::HumanReporter;
pub use json::JsonReporter;
pub use junit::JunitReporter;
pub use last::{last_failed, remember_failed};
pub use memory::{default_jobs, memory_of_a_file};
pub use order::Order;
pub use run::{Job, Report, Reporter, RunOptions, Summary, Tests, list, run};
pub use select::{Partition, Selected, Selection, TestId, shuffle};
pub use stop::Stop;
pub use tap::TapReporter;

/// What people and reports call a test: `FILE: TEST`, with the round when there are several.
fn test_name(file: &std::path::Path, round: u32, test: &str) -> String {
    let round = match round {
        1 => String::new(),
        round => format!(" (round {round})"),
    };
    printable(&format!("{}: {test}{round}", file.display()))
}

/// `text` in one line that does nothing to a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.into(),
    };
    text.chars().map(escape).collect()
}
