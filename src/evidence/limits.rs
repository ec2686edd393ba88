//! How much of a test's lines is kept.

/// How many lines are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the beginning of each trace, console and list of calls.
    pub first: usize,
    /// Of the end of each.
    pub last: usize,
}

impl Limits {
    /// For the report on a terminal: the last lines.
    pub const SHORT: Self = Self { first: 0, last: 64 };
    /// For a folder.
    pub const LONG: Self = Self {
        first: 50_000,
        last: 50_000,
    };

    /// For a test that may leave a folder, or leaves none.
    pub fn of(leaves_a_folder: bool) -> Self {
        match leaves_a_folder {
            true => Self::LONG,
            false => Self::SHORT,
        }
    }
}
