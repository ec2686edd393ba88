//! What the fuzz targets do with their input. The suite of the crate does the same with every input
//! that is kept.

#![allow(clippy::unwrap_used)]

pub mod agent;
pub mod attach;
pub mod config;
pub mod control;
pub mod grammar;
pub mod json;
pub mod log;
pub mod options;
pub mod qmp;
pub mod texts;

mod errno;
mod peer;

/// The name of a target, and what it does: it panics over an input that shows a mistake of ours.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 10] = [
    ("agent", agent::run),
    ("attach", attach::run),
    ("config", config::run),
    ("control", control::run),
    ("grammar", grammar::run),
    ("json", json::run),
    ("log", log::run),
    ("options", options::run),
    ("qmp", qmp::run),
    ("texts", texts::run),
];
