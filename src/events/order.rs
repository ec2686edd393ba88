//! What a file's process is told to do, one JSON object.

use serde::{Deserialize, Serialize};

/// The orders for one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Only say what tests there are.
    pub list: bool,
    /// These tests in this order; all of them as they are written without it.
    pub only: Option<Vec<String>>,
    /// Run the slow ones too.
    pub include_slow: bool,
    /// Run no further test after so many failures.
    pub stop_after: Option<usize>,
    /// Keep the VMs of a test that fails.
    pub keep: bool,
    /// Boot every guest for real, even where a saved state could go on.
    pub cold: bool,
    /// Seconds that a test may take that does not say so itself.
    pub timeout: f64,
}
