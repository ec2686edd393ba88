//! The `provium` binary and its mounts, from outside, against other people's tools.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod access;
mod cli;
mod control_files;
mod counters;
mod data;
mod data_file;
mod dependencies;
mod docs;
mod errnos;
mod fault_modes;
mod fuzzing;
mod getting_started;
mod guest_runs;
mod harness;
mod integrity;
mod layers;
mod lua_suite;
mod own_mount;
mod page_cache;
mod report_texts;
mod reports;
mod retries;
mod rule_warnings;
mod rules;
mod run_folder;
mod runner;
mod selection;
mod status_and_top;
mod stopped_runs;
mod survival;
mod terminal;
mod timeouts;
mod trace;
mod warm_boots;
