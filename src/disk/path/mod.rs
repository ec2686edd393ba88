//! The way of a request through a disk, from its arrival to its answer.

mod admit;
mod apply;
pub(super) mod delays;
mod journey;
mod request;
pub(super) mod settling;
pub(super) mod snapshots;
pub(super) mod strain;
mod synced;

pub use delays::{Delays, MOST_HELD};
pub use request::{Answer, Reply, Request};
pub use synced::Synced;
