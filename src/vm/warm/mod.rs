//! Warm boots: the states of booted guests, kept in the cache, from which later boots go on.

mod digest;
mod key;
mod migration;
mod pages;
mod state;
mod store;
mod wake;

pub(super) use key::{Key, Part};
pub(super) use pages::copy as copy_sparse;
pub(super) use state::{About, Saved};
pub(super) use store::{Found, Slot};
pub use store::{SavedState, Store};
pub(super) use wake::{PLACES, wake_program};
