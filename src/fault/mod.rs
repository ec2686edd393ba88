//! What should go wrong with which request: rules, the set of armed rules, and deciding.
//!
//! Pure: no clock, no thread, no file. The disk asks [`FaultSet`] what happens to a request, and does it.

mod action;
mod armed;
mod arming;
mod at;
mod at_limit;
mod candidates;
mod client;
mod cut;
mod decide;
mod delay;
mod describe;
mod draw;
mod edit;
mod explain;
mod firing;
mod grammar;
mod heal;
mod hits;
mod index;
mod io_range;
mod keys;
mod limit;
mod limiting;
mod mode;
mod op;
mod per_sector;
mod print;
mod random;
mod ranges;
mod remarks;
mod replay;
mod rule;
mod set;
mod short;
mod state;
#[cfg(test)]
mod tests;
mod why;

pub use action::{Action, ActionKind, Change, Decision, HANG_MAX, How, Pause, Phase, Then};
pub use armed::Armed;
pub use arming::Arming;
pub use at::{At, Sectors, Start};
pub use candidates::Candidates;
pub use client::Client;
pub use cut::{CutPoint, CutRule, CutScope};
pub use decide::{FiredChange, Loss, Outcome, Wait};
pub use delay::{DelayTime, LONGEST, Real};
pub use draw::{Draw, MOST_DRAWN};
pub use firing::{Firing, Stage};
pub use grammar::{
    Edit, GrammarError, nearest_action, parse_edits, parse_rule, parse_sectors, sectors_meant,
};
pub use heal::{Heal, HealCounts, Healer};
pub use hits::{Record, RuleHits};
pub use io_range::IoRange;
pub use keys::{ActionKey, Selector, is_time};
pub use limit::Limit;
pub use mode::{Mode, SLOW_FAULT_MS};
pub use op::{Op, Ops};
pub use random::Random;
pub use ranges::Ranges;
pub use remarks::DiskKind;
pub use replay::{Replayed, replay_at_once, replay_in_place};
pub use rule::{Rule, SizeRange, Spelling};
pub use set::{FaultSet, NoSuchTag};
pub use state::RuleName;
pub use why::Why;
