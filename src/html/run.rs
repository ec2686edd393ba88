//! What a page is made of.

use std::path::PathBuf;
use std::time::SystemTime;

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The evidence folders of its tests, one for each try, in the order in which they ended.
    pub tests: Vec<PathBuf>,
    /// When it began.
    pub began: SystemTime,
    /// The same moment in seconds of the clock of dmesg.
    pub monotonic_began: f64,
    /// How long it took.
    pub seconds: f64,
    /// The command line that runs it again.
    pub command: String,
}
