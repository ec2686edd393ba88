//! The messages between the runner and the process of a test file.

mod event;
mod order;

pub use event::{Event, KeptVm, Outcome, TestInfo};
pub use order::{EvidenceOrder, Order, Replay, ReplayedRule};
