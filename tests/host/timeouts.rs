//! Tests and files that take too long, and the end of the processes that a test has started.

use std::time::{Duration, Instant};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

#[test]
fn slow_test_is_reported_each_time_slow_after_has_passed() {
    in_ample_time(|seconds| {
        let lua = format!("test('long', function(t) os.execute('sleep {seconds}') end)");
        let output = Suite::new(&[("a", &lua)]).test(&["--slow-after", "0.2"]);
        assert_report(&output, 0, &["1 passed"]);
        let slow = Suite::lines(&output, "SLOW");
        assert!(slow.iter().all(|name| name == "long"), "{slow:?}");
        // A busy machine may make it more, or look less often.
        (slow.len() >= 2).then_some(())
    });
}

#[test]
fn file_timeout_ends_the_file_and_the_others_go_on() {
    let suite = Suite::new(&[
        ("a", "test('long', function(t) os.execute('sleep 600') end)"),
        ("b", "test('short', function(t) end)"),
    ]);
    let output = suite.test(&["--file-timeout", "4"]);
    let texts = [
        "TERM  a.test.lua: its process does not end",
        "the test's process was stopped: the file's time (4s) was up",
        "PASS  b.test.lua: short",
        "1 passed, 1 failed",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn file_process_that_ignores_sigterm_is_killed() {
    let suite = Suite::new(&[(
        "a",
        "test('deaf', function(t)
           os.execute('kill -STOP $PPID') -- A stopped process does not see TERM.
         end)",
    )]);
    page_says(
        "docs/running-tests.md",
        "| another 5 s later | If the process has not ended, for example because it is stopped, it gets SIGKILL |",
    );
    let output = in_ample_time(|seconds| {
        let began = Instant::now();
        let output = suite.test(&["--file-timeout", &seconds.to_string()]);
        // It may end in order while it has not stopped yet.
        let is_killed = stdout(&output).contains("KILL  ");
        let least = Duration::from_secs_f64(seconds + 5.0);
        assert!(!is_killed || began.elapsed() >= least, "{least:?}");
        is_killed.then_some(output)
    });
    let texts = ["TERM  a.test.lua", "KILL  a.test.lua", "0 passed, 1 failed"];
    assert_report(&output, 1, &texts);
}

/// Starts a process that ignores SIGTERM and one that does not, and waits.
const BREEDS: &str = "
    test('breeds', function(t)
      os.execute([[
        echo $$ >> pids
        sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.05; done' &
        sleep 600 & echo $! >> pids
        sleep 600]])
    end)";

/// The processes that the test has started so far.
fn started(suite: &Suite) -> Vec<u32> {
    let text = std::fs::read_to_string(suite.path().join("pids")).unwrap_or_default();
    text.lines().map(|pid| pid.parse().unwrap()).collect()
}

/// The processes that the test has started; waits until all have.
fn bred(suite: &Suite) -> Vec<u32> {
    eventually("it has started them", || started(suite).len() == 3);
    started(suite)
}

fn assert_gone(pids: &[u32]) {
    eventually("they are gone", || {
        !pids
            .iter()
            .any(|pid| provium::os::process::Process::is_running(*pid))
    });
}

#[test]
fn processes_of_a_stopped_test_end_with_it() {
    let suite = Suite::new(&[("a", BREEDS)]);
    in_ample_time(|seconds| {
        let output = suite.test(&["--file-timeout", &seconds.to_string()]);
        assert_report(&output, 1, &["TERM  a.test.lua", "0 passed, 1 failed"]);
        let pids = started(&suite);
        let _ = std::fs::remove_file(suite.path().join("pids"));
        assert_gone(&pids);
        (pids.len() == 3).then_some(())
    });
}

#[test]
fn processes_of_a_test_end_with_the_runner_however_that_ends() {
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
fn background_processes_of_a_test_end_with_its_file() {
    let suite = Suite::new(&[(
        "a",
        "test('leaves', function(t) os.execute('sleep 600 & echo $! > pid') end)",
    )]);
    assert_report(&suite.test(&[]), 0, &["1 passed"]);
    assert_gone(&[suite.read("pid").trim().parse().unwrap()]);
}
