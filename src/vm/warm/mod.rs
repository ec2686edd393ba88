//! Warm boots: the states of booted guests, kept in the cache, from which later boots go on.

mod boot;
mod digest;
mod key;
mod migration;
pub(in crate::vm) mod pages;
mod state;
mod store;
mod wake;

pub use store::{SavedState, Store};
