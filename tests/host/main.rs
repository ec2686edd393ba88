//! The `provium` binary and its mounts, from outside, against tools that nobody here wrote.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod access;
mod cli;
mod control_files;
mod data;
mod data_file;
mod docs;
mod equivalents;
mod errnos;
mod faults;
mod garbage;
mod guest_runs;
mod harness;
mod integrity;
mod layers;
mod observing;
mod own_mount;
mod page_cache;
mod pages;

mod promised;
mod promises;
mod reference;
mod reports;
mod rules;
mod run_folder;
mod runner;
mod selection;
mod start;
mod suite;
mod supply;
mod survival;
mod terminal;
mod texts;
mod trying;
mod warm;
