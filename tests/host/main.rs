//! The `provium` binary and its mounts, from outside, against tools that nobody here wrote.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod cli;
mod control_files;
mod data;
mod docs;
mod faults;
mod guest_runs;
mod guests;
mod harness;
mod layers;
mod reports;
mod rules;
mod runner;
mod selection;
mod start;
mod suite;
mod survival;
mod trying;
mod warm;
