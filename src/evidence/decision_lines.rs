//! Decisions as they are kept: the lines of their stream.

use crate::protocol::{DecisionLine, DecisionsLine};

/// The decisions among the lines of a stream.
pub(super) fn decisions(lines: &[String]) -> Vec<DecisionLine<'static>> {
    let parsed = lines.iter().filter_map(|line| line.parse().ok());
    let fired = |line| match line {
        DecisionsLine::Fired(decision) => Some(decision),
        DecisionsLine::Remark(_) => None,
    };
    parsed.filter_map(fired).collect()
}
