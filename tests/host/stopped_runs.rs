//! Runs that stop early: `--fail-fast`, `--max-fail`, an interrupt.

use std::time::Instant;

use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

/// Four tests of which three fail, in two files.
fn failing() -> Suite {
    Suite::new(&[
        (
            "a",
            "test('1', function(t) error() end) test('2', function(t) error() end)",
        ),
        (
            "b",
            "test('3', function(t) error() end) test('4', function(t) end)",
        ),
    ])
}

#[test]
fn fail_fast_stops_after_the_first_failure() {
    let output = failing().test(&["--fail-fast", "-j", "1"]);
    let texts = [
        "stopped after 1 failure",
        "0 passed, 1 failed, 0 skipped, 3 not run",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn fail_fast_runs_a_file_that_cannot_be_listed() {
    let lua = "local n = provium.vm and #tostring(provium) or 0
               assert(n > 0, 'listed') test('x', function(t) end)";
    let suite = Suite::new(&[("a", lua)]);
    assert_eq!(suite.test(&["--list"]).status.code(), Some(1));
    assert_report(&suite.test(&["--fail-fast"]), 0, &["1 passed, 0 failed"]);
}

#[test]
fn max_fail_stops_after_that_many_failures() {
    let output = failing().test(&["--max-fail", "2", "-j", "1"]);
    let texts = [
        "stopped after 2 failures",
        "0 passed, 2 failed, 0 skipped, 2 not run",
    ];
    assert_report(&output, 1, &texts);
    let output = failing().test(&["--max-fail", "9", "-j", "1"]);
    assert_report(&output, 1, &["1 passed, 3 failed, 0 skipped"]);
    assert!(!stdout(&output).contains("stopped"));
}

#[test]
fn stopped_run_ends_the_running_tests() {
    let suite = Suite::new(&[
        (
            "a",
            "test('waits', function(t) os.execute('touch waits; sleep 600') end)",
        ),
        (
            "b",
            "test('fails', function(t) while not io.open('waits') do end error() end)",
        ),
    ]);
    let started = Instant::now();
    let output = suite.test(&["--fail-fast", "-j", "2"]);
    assert_report(&output, 1, &["0 passed, 1 failed, 0 skipped, 1 not run"]);
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn rerun_failed_includes_what_was_not_run() {
    let suite = failing();
    suite.test(&["--fail-fast", "-j", "1", "--filter", "test"]);
    assert_eq!(suite.listed(&["--rerun-failed"]), ["1", "2", "3", "4"]);
}

#[test]
fn interrupted_run_says_so_and_sums_up() {
    let suite = Suite::new(&[
        (
            "a",
            "test('waits', function(t) os.execute('touch waits; sleep 600') end)",
        ),
        ("b", "test('never', function(t) end)"),
    ]);
    let mut run = suite.command(&["-j", "1"]);
    let run = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the test waits", || suite.path().join("waits").exists());
    send(run.id(), libc::SIGINT);
    let output = run.wait_with_output().unwrap();
    let sum = "0 passed, 0 failed, 0 skipped, 1 not run, 1 file not run";
    assert_report(&output, 1, &["interrupted", sum]);
}
