//! Probabilities.

use std::fmt;
use std::str::FromStr;

/// A probability from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(f64);

impl Probability {
    /// The probability `value`. None unless it is from 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        // Adding 0 makes -0 the 0 that it is equal to.
        (0.0..=1.0).contains(&value).then_some(Self(value + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

// Never NaN, never -0: equal numbers have equal bits.
impl Eq for Probability {}
impl std::hash::Hash for Probability {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Probability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().and_then(Self::new).ok_or(())
    }
}
