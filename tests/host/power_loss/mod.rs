//! What a power cut leaves of software that nobody here wrote: file systems, habits of programs, SQLite.
//!
//! A script writes to an ext4 on a loop device, on a disk whose writes are recorded. `provium states` then makes
//! every state, and debugfs or the software itself looks at each. Counts move with timing, so verdicts are
//! compared by their kind.

use crate::docs::page_says;
use crate::integrity::setting;
pub use recording::judged;

mod append;
mod ext4;
mod recording;
mod rename;
mod sqlite;
mod two_blocks;

/// How many records or transactions a program acknowledges. `PROVIUM_ACKNOWLEDGED=20` makes a long run.
fn acknowledged() -> u64 {
    setting("PROVIUM_ACKNOWLEDGED", 4)
}

/// Asserts that the table of the page says this of what was `recorded`.
fn table_says(recorded: &str, in_some_state: &str) {
    page_says(
        "docs/power.md",
        &format!("| {recorded} | {in_some_state} |"),
    );
}
