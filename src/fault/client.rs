//! Whose requests a rule is for.

use crate::units::listed;

listed! {
    /// Those who send requests to a disk. A client says itself that it is the host.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Client {
        /// Everyone who does not say otherwise: a guest, and any program that opens the data file.
        #[default]
        Guest,
        /// The sector calls of a test, and whoever else says so of an open data file.
        Host,
    }
}

impl Client {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Host => "host",
        }
    }
}
