//! The power of a disk: the gate that all requests pass, cuts, and what survives them.

pub(super) mod all;
pub(super) mod cut;
mod error;
pub(super) mod gate;
pub(super) mod mains;
pub(super) mod state;
mod survivors;
mod switch;

pub use error::PowerError;
