//! The effects of rules on requests, by the names that counters and the trace use.

use crate::units::listed;

listed! {
    /// What a rule did to a request that was not, or not only, failed. In the order of `stats`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        /// The power was cut at it.
        Cut,
    }
}

impl Effect {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Held => "held",
            Self::Lost => "lost",
            Self::Torn => "torn",
            Self::Misdirected => "misdirected",
            Self::Corrupted => "corrupted",
            Self::Stale => "stale",
            Self::Cut => "cut",
        }
    }

    /// The effect called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.name() == name)
    }
}
