//! One rule: an action and the requests that it acts on.

use std::time::Duration;

use super::{Action, ActionKind, At, Client, Draw, Heal, Ops};
use crate::units::Probability;

/// An action and its selectors, which must all hold. Two rules are equal when they do the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What happens.
    pub action: Action,
    /// The operations that it acts on.
    pub ops: Ops,
    /// Ranges of sectors, of which a request must overlap one. Empty: any sector.
    pub at: Vec<At>,
    /// It draws its sectors from those of `at`, or of the disk.
    pub draw: Option<Draw>,
    /// Its sectors are good again once they are written; of an error alone.
    pub heal: Option<Heal>,
    /// How many bytes a request must have.
    pub size: Option<SizeRange>,
    /// Whose requests it is for; everyone's without one.
    pub client: Option<Client>,
    /// How many of the matching requests it passes over first.
    pub skip: u64,
    /// It takes one of this many of the others: the last of each such group. At least 1.
    pub every: u64,
    /// The probability with which it acts on those.
    pub probability: Option<Probability>,
    /// The probability is that of each sector of a request, and it acts on those that are drawn.
    pub per_sector: bool,
    /// The seed of its random numbers; the disk's without one.
    pub seed: Option<u64>,
    /// It acts at most this often.
    pub times: Option<u64>,
    /// It starts this long after it was armed.
    pub after: Duration,
    /// It stays active this long.
    pub lasts: Option<Duration>,
    /// While it is active, it acts for the first time and then pauses for the second, in turn.
    pub cycle: Option<(Duration, Duration)>,
    /// It acts only after a rule with this tag has fired.
    pub when: Option<String>,
    /// Its own tag.
    pub tag: Option<String>,
    /// How it prints.
    pub spelling: Spelling,
}

/// Whether a rule was written as a mode with selectors, and prints so. Rules that differ in this alone
/// are equal. Without selectors a rule that does what a mode does prints as the mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spelling {
    /// It began with the name of a mode.
    pub as_mode: bool,
}

impl PartialEq for Spelling {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Spelling {}
impl std::hash::Hash for Spelling {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// The least and the most bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SizeRange {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl SizeRange {
    /// Whether a request of `len` bytes is in the range.
    pub fn contains(self, len: u64) -> bool {
        (self.min..=self.max).contains(&len)
    }
}

impl Rule {
    /// The seed that it says, as a selector or as a value of its action.
    pub fn own_seed(&self) -> Option<u64> {
        self.seed.or(self.action.seed())
    }

    /// Whether it is for the requests of guests alone.
    pub fn is_for_guests(&self) -> bool {
        self.client == Some(Client::Guest)
    }

    /// Whether it is for requests anywhere, those without a range included.
    pub fn is_anywhere(&self) -> bool {
        self.at.is_empty() && self.draw.is_none() && self.heal.is_none()
    }

    /// Whether its sectors are found, or change, while it is armed.
    pub fn has_own_sectors(&self) -> bool {
        let from_end = self.at.iter().any(|at| at.fixed().is_none());
        from_end || self.draw.is_some() || self.heal.is_some()
    }

    /// Whether it cuts the power.
    pub fn cuts_power(&self) -> bool {
        self.action.kind() == ActionKind::Cut
    }

    /// The action without any selector.
    pub fn new(action: Action) -> Self {
        Self {
            ops: action.kind().ops(),
            action,
            at: Vec::new(),
            draw: None,
            heal: None,
            size: None,
            client: None,
            skip: 0,
            every: 1,
            probability: None,
            per_sector: false,
            seed: None,
            times: None,
            after: Duration::ZERO,
            lasts: None,
            cycle: None,
            when: None,
            tag: None,
            spelling: Spelling::default(),
        }
    }
}
