//! What the runner and the process of a test file tell each other.

mod event;
mod order;

pub use event::{Event, KeptVm, Outcome, TestInfo};
pub use order::Order;
