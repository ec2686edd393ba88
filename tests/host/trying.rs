//! Failures: tried again, counted, kept; and tests that take too long.

use std::time::{Duration, Instant};

use crate::harness::*;
use crate::promises::promised;
use crate::suite::{Suite, assert_report};

const RUNNING: &str = "docs/running-tests.md";

/// Fails the first time.
const FLAKY: &str = "
    test('before', function(t) end)
    test('flaky', function(t)
      local again = io.open('again')
      io.open('again', 'w'):close()
      t:assert(again, 'the first time')
    end)";

#[test]
fn a_test_that_passes_when_tried_again_is_flaky() {
    promised(
        "docs/ci.md",
        "`--retries 1` keeps a build green that has a flaky test, and the report names it",
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
fn without_retries_it_fails() {
    let output = Suite::new(&[("a", FLAKY)]).test(&[]);
    assert_report(
        &output,
        1,
        &["FAIL  a.test.lua: flaky", "1 passed, 1 failed"],
    );
}

#[test]
fn a_test_that_never_passes_is_tried_so_often_and_fails_once() {
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
fn a_process_that_dies_is_tried_again_too() {
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
    // What never started is tried for the first time.
    let texts = [
        "FLAKY a.test.lua: dies once",
        "PASS  a.test.lua: after it",
        "0 failed, 0 skipped, 1 flaky",
    ];
    assert_report(&output, 0, &texts);
}

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
fn a_run_that_may_stop_takes_a_file_that_works_only_when_it_runs() {
    let lua = "local n = provium.vm and #tostring(provium) or 0
               assert(n > 0, 'listed') test('x', function(t) end)";
    let suite = Suite::new(&[("a", lua)]);
    assert_eq!(suite.test(&["--list"]).status.code(), Some(1));
    assert_report(&suite.test(&["--fail-fast"]), 0, &["1 passed, 0 failed"]);
}

#[test]
fn max_fail_stops_after_so_many() {
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
fn a_stopped_run_ends_what_runs() {
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
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_was_not_run_is_run_with_what_failed() {
    let suite = failing();
    suite.test(&["--fail-fast", "-j", "1", "--filter", "test"]);
    assert_eq!(suite.listed(&["--rerun-failed"]), ["1", "2", "3", "4"]);
}

#[test]
fn an_interrupted_run_says_so_and_sums_up() {
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

#[test]
fn a_test_that_takes_long_is_called_slow_each_time_as_much_has_passed() {
    let suite = Suite::new(&[("a", "test('long', function(t) os.execute('sleep 0.7') end)")]);
    let output = suite.test(&["--slow-after", "0.3"]);
    assert_report(&output, 0, &["1 passed"]);
    assert_eq!(Suite::lines(&output, "SLOW"), ["long", "long"]);
}

#[test]
fn a_file_that_takes_too_long_is_ended_and_the_others_go_on() {
    let suite = Suite::new(&[
        ("a", "test('long', function(t) os.execute('sleep 600') end)"),
        ("b", "test('short', function(t) end)"),
    ]);
    let output = suite.test(&["--file-timeout", "0.5"]);
    let texts = [
        "TERM  a.test.lua: its process does not end",
        "the test's process was stopped: the file's time (0.5s) was up",
        "PASS  b.test.lua: short",
        "1 passed, 1 failed",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn a_process_that_shrugs_term_off_is_killed() {
    let suite = Suite::new(&[(
        "a",
        "test('deaf', function(t)
           os.execute('kill -STOP $PPID') -- A stopped process does not see TERM.
         end)",
    )]);
    promised(RUNNING, "it gets SIGKILL another 5 s later");
    let began = Instant::now();
    let output = suite.test(&["--file-timeout", "0.5"]);
    assert!(began.elapsed() >= Duration::from_millis(5500));
    let texts = ["TERM  a.test.lua", "KILL  a.test.lua", "0 passed, 1 failed"];
    assert_report(&output, 1, &texts);
}

/// Starts a process that shrugs TERM off, one that does not, and waits.
const BREEDS: &str = "
    test('breeds', function(t)
      os.execute([[
        echo $$ >> pids
        sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.05; done' &
        sleep 600 & echo $! >> pids
        sleep 600]])
    end)";

/// The processes that it has started, once there are all.
fn bred(suite: &Suite) -> Vec<u32> {
    let mut pids = Vec::new();
    eventually("it has started them", || {
        let text = std::fs::read_to_string(suite.path().join("pids")).unwrap_or_default();
        pids = text.lines().map(|pid| pid.parse().unwrap()).collect();
        pids.len() == 3
    });
    pids
}

fn assert_gone(pids: &[u32]) {
    eventually("they are gone", || {
        !pids
            .iter()
            .any(|pid| provium::os::sys::Process::is_running(*pid))
    });
}

#[test]
fn what_a_stopped_test_has_started_ends_with_it() {
    let suite = Suite::new(&[("a", BREEDS)]);
    let output = suite.test(&["--file-timeout", "0.5"]);
    assert_report(&output, 1, &["TERM  a.test.lua", "0 passed, 1 failed"]);
    assert_gone(&bred(&suite));
}

#[test]
fn what_a_test_has_started_ends_with_its_runner_however_that_ends() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let suite = Suite::new(&[("a", BREEDS)]);
        let mut run = suite.command(&[]);
        let mut run = run.stdout(std::process::Stdio::null()).spawn().unwrap();
        let pids = bred(&suite);
        send(run.id(), signal);
        run.wait().unwrap();
        assert_gone(&pids);
    }
}

#[test]
fn what_a_test_leaves_in_the_background_ends_with_its_file() {
    let suite = Suite::new(&[(
        "a",
        "test('leaves', function(t) os.execute('sleep 600 & echo $! > pid') end)",
    )]);
    assert_report(&suite.test(&[]), 0, &["1 passed"]);
    assert_gone(&[suite.read("pid").trim().parse().unwrap()]);
}

#[test]
fn wrong_arguments_are_named() {
    let output = Suite::new(&[]).test(&["--fail-fast", "--max-fail", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let wrong = [
        ("timeout = 'soon'", "`timeout` wants a duration ("),
        (
            "timeout = -1",
            "or a text such as \"50ms\", \"5s\", \"2m\"), not -1",
        ),
        ("slow = 'no'", "`slow` wants true or false, not \"no\""),
        ("skip = 7", "`skip` wants true or a reason, not 7"),
        (
            "tags = {7}",
            "`tags` wants a list of names, or one name, not a table",
        ),
    ];
    for (meta, text) in wrong {
        let lua = format!("test('x', {{{meta}}}, function(t) end)");
        let output = Suite::new(&[("a", &lua)]).test(&[]);
        assert_report(&output, 1, &["a.test.lua:1: test: `x`: ", text]);
    }
    let inner = "test('x', function(t) test('y', function(t) end) end)";
    let output = Suite::new(&[("a", inner)]).test(&[]);
    assert_report(&output, 1, &["test: `y` is declared while tests run"]);
}
