//! What arming takes from the disk.

use std::time::Duration;

/// What arming takes from the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arming {
    /// When, counted from a moment of the caller's choice: the same for all calls with a `now`.
    pub now: Duration,
    /// The default seed, for rules without `seed=`.
    pub seed: u64,
    /// How many whole sectors the disk has, as far as is known: where the ranges of `at=end` are.
    pub disk_sectors: u64,
    /// The ID of the first rule that is armed now. Each further one has the next.
    pub first_id: u64,
}
