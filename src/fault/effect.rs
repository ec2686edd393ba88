//! What `stats` counts and `trace` tells of requests that a rule has acted on.

use crate::units::listed;

listed! {
    /// What a rule did to a request that was not, or not only, failed. In the order of `stats`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Effect {
        /// It waited.
        Delayed,
        /// It waited to be released.
        Held,
        /// It was acknowledged and not done.
        Lost,
        /// A part of it was done.
        Torn,
        /// It was served at another place.
        Misdirected,
        /// Its data were changed.
        Corrupted,
        /// It found old data.
        Stale,
    }
}

impl Effect {
    /// The word for it in `stats` and in `trace`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Held => "held",
            Self::Lost => "lost",
            Self::Torn => "torn",
            Self::Misdirected => "misdirected",
            Self::Corrupted => "corrupted",
            Self::Stale => "stale",
        }
    }
}
