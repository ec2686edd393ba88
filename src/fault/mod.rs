//! What should go wrong with which request: rules, the set of armed rules, and deciding.
//!
//! Pure: no clock, no thread, no file. The disk asks [`FaultSet::decide`] and acts on the answer.

mod errno;
mod grammar;
mod mode;
mod op;
mod rule;
mod set;

pub use errno::Errno;
pub use grammar::{Edit, GrammarError, parse_edits, parse_rule};
pub use mode::{Mode, SLOW_FAULT_MS};
pub use op::{Op, Ops};
pub use rule::{Action, Rule};
pub use set::{FaultSet, Verdict};
