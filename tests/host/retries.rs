//! `--retries`: a failed test is tried again.

use crate::docs::page_says;
use crate::lua_suite::{Suite, assert_report};

/// Fails the first time.
const FLAKY: &str = "
    test('before', function(t) end)
    test('flaky', function(t)
      local again = io.open('again')
      io.open('again', 'w'):close()
      t:assert(again, 'the first time')
    end)";

#[test]
fn retried_test_that_passes_is_flaky() {
    page_says(
        "docs/ci.md",
        "With `--retries 1`, a flaky test does not fail the build, and the report names it",
    );
    let suite = Suite::new(&[("a", FLAKY)]);
    let output = suite.test(&["--retries", "2"]);
    let texts = [
        "RETRY a.test.lua: flaky (try 1 failed",
        "the first time",
        "FLAKY a.test.lua: flaky (",
        "passed at try 2",
        "2 passed, 0 failed, 0 skipped, 1 flaky",
    ];
    assert_report(&output, 0, &texts);
}

#[test]
fn flaky_test_fails_without_retries() {
    let output = Suite::new(&[("a", FLAKY)]).test(&[]);
    assert_report(
        &output,
        1,
        &["FAIL  a.test.lua: flaky", "1 passed, 1 failed"],
    );
}

#[test]
fn retried_test_that_never_passes_fails_once_after_all_tries() {
    let suite = Suite::new(&[(
        "a",
        "test('bad', function(t) io.open('tries', 'a'):write('x'):close() error('no') end)",
    )]);
    let output = suite.test(&["--retries", "2"]);
    assert_report(
        &output,
        1,
        &["try 2 failed", "0 passed, 1 failed, 0 skipped"],
    );
    assert_eq!(suite.read("tries"), "xxx");
}

#[test]
fn dead_process_is_tried_again_too() {
    let suite = Suite::new(&[(
        "a",
        "test('dies once', function(t)
           if not io.open('again') then
             io.open('again', 'w'):close()
             os.execute('kill -9 $PPID')
           end
         end)
         test('after it', function(t) end)",
    )]);
    let output = suite.test(&["--retries", "1"]);
    // A test that never started is tried for the first time.
    let texts = [
        "FLAKY a.test.lua: dies once",
        "PASS  a.test.lua: after it",
        "0 failed, 0 skipped, 1 flaky",
    ];
    assert_report(&output, 0, &texts);
}
