//! What should go wrong with which request: rules, the set of armed rules, and deciding.
//!
//! Pure: no clock, no thread, no file. The disk asks [`FaultSet`] what happens to a request, and
//! sees to it.

mod action;
mod armed;
mod edit;
mod explain;
mod grammar;
mod index;
mod mode;
mod never;
mod op;
mod random;
mod ranges;
mod rule;
mod set;
mod short;
mod state;
#[cfg(test)]
mod tests;

pub use action::{Action, HANG_MAX, How, Then};
pub use armed::{Armed, Counts, Fired, IoRange, Why};
pub use grammar::{Edit, GrammarError, nearest_action, parse_edits, parse_rule};
pub use mode::{Mode, SLOW_FAULT_MS};
pub use never::{DiskKind, Remark};
pub use op::{Op, Ops};
pub use random::Random;
pub use ranges::Ranges;
pub use rule::{Probability, Rule, Sectors, SizeRange, Spelling};
pub use set::{Arming, Decision, FaultSet, NoSuchTag, Outcome, Seen, Wait};
pub use state::{RuleName, RuleState};
