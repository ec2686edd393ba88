//! The order for the process of a test file, one JSON object.

use serde::{Deserialize, Serialize};

/// The orders for one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Only list the tests.
    pub list: bool,
    /// Run these tests in this order; without it, all in the order of the file.
    pub only: Option<Vec<String>>,
    /// Run the slow ones too.
    pub include_slow: bool,
    /// Run no further test after this many failures.
    pub stop_after: Option<usize>,
    /// Keep the VMs of a test that fails.
    pub keep: bool,
    /// Boot every guest, even where a saved state could be resumed.
    pub cold: bool,
    /// Seconds that a test without a timeout of its own may take.
    pub timeout: f64,
}
