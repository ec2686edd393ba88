//! What has become of the power of a VM: the rule that has cut it, and what the cut has done to the disks.

use super::VmError;
use crate::protocol::CutReport;

/// What a power cut has done to each disk, by its ID.
pub type CutReports = Vec<(String, CutReport)>;

/// The rule that has cut the power of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleCut(pub(super) String);

impl From<RuleCut> for VmError {
    fn from(RuleCut(rule): RuleCut) -> Self {
        Self::PowerCut { rule }
    }
}

/// A power cut that has ended a VM.
pub(super) struct PowerLoss {
    /// The rule that has cut it; None for a call.
    pub(super) rule: Option<String>,
    pub(super) disks: CutReports,
}

impl PowerLoss {
    /// A remark for errors; begins with a space.
    pub(super) fn hint(&self) -> String {
        let by = self.rule.as_ref().map(|rule| format!(" by {rule}"));
        format!(" (not booted: its power was cut{})", by.unwrap_or_default())
    }
}
