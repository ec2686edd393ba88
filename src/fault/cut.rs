//! What a `cut` rule says: the power cut, and when and of how many disks it is.

use crate::protocol::PowerCut;
use crate::units::listed;

/// A power cut by a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CutRule {
    /// Whether the request itself is done.
    pub point: CutPoint,
    /// Which disks lose their power.
    pub scope: CutScope,
    /// What survives of the requests that are pending.
    pub cut: PowerCut,
}

listed! {
    /// When the power goes off, as the request that a rule acts on sees it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum CutPoint {
        /// Before it is served: nothing of it is done.
        #[default]
        Before,
        /// After it was done.
        After,
    }
}

listed! {
    /// Which disks lose their power.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum CutScope {
        /// All disks of the mount, at one instant.
        #[default]
        Mount,
        /// The disk of the rule alone.
        Disk,
    }
}

impl CutRule {
    /// The power cut, with `seed` for its random numbers unless the rule says one.
    pub fn with_seed(&self, seed: u64) -> PowerCut {
        PowerCut {
            seed: Some(self.cut.seed.unwrap_or(seed)),
            ..self.cut.clone()
        }
    }
}

impl CutPoint {
    /// The point as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl CutScope {
    /// The scope as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Disk => "disk",
        }
    }
}
