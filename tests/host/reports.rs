//! Reports, read by the tools that they are for: junitparser, prove, jsonschema, a terminal.

use std::process::{Command, Output};

use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};
use crate::terminal::Terminal;

/// Passes, fails, is skipped, is flaky, does not parse, and prints.
fn suite() -> Suite {
    Suite::new(&[
        (
            "a",
            "test('good', function(t) t:log('said') end)
             test('bad <&> \"#\"', function(t) print('\\27[31mprinted') error('no\\nnever') end)
             test('out', {skip = 'not today'}, function(t) end)
             test('flaky', function(t)
               local again = io.open('again')
               io.open('again', 'w'):close()
               t:assert(again)
             end)",
        ),
        ("b", "this does not parse"),
    ])
}

fn python(script: &str, folder: &std::path::Path) -> Output {
    run(Command::new("/usr/bin/python3")
        .args(["-c", script])
        .current_dir(folder))
}

#[test]
fn junit_report_is_read_by_junitparser_with_the_right_counts() {
    if !has_python("junitparser") {
        return;
    }
    let suite = suite();
    let output = suite.test(&["--junit", "r.xml", "--retries", "1"]);
    assert_report(&output, 1, &["2 passed, 2 failed, 1 skipped, 1 flaky"]);
    let script = "
from junitparser import JUnitXml
xml = JUnitXml.fromfile('r.xml')
print(xml.tests, xml.failures, xml.errors, xml.skipped)
for suite in xml:
    for case in suite:
        print(suite.name, case.classname, case.name, [type(r).__name__ for r in case.result])
";
    let read = python(script, suite.path());
    assert_ok(&read);
    assert_eq!(
        stdout(&read),
        "5 1 1 1\n\
         a.test.lua a.test.lua good []\n\
         a.test.lua a.test.lua out ['Skipped']\n\
         a.test.lua a.test.lua bad <&> \"#\" ['Failure']\n\
         a.test.lua a.test.lua flaky []\n\
         b.test.lua b.test.lua the file ['Error']\n"
    );
    let xml = suite.read("r.xml");
    assert!(
        xml.contains("<flakyFailure") && xml.contains("<rerunFailure"),
        "{xml}"
    );
    assert!(xml.contains("printed") && !xml.contains('\u{1b}'), "{xml}");
}

#[test]
fn tap_report_is_read_by_prove() {
    if !has("prove") {
        return;
    }
    let suite = suite();
    let output = suite.test(&["--tap=r.tap", "--retries", "1"]);
    assert_report(&output, 1, &["2 passed"]);
    let prove = |file: &str| {
        run(Command::new("prove")
            .args(["--exec", "cat", file])
            .current_dir(suite.path()))
    };
    let read = prove("r.tap");
    assert_report(
        &read,
        1,
        &["Failed 2/5 subtests", "less 1 skipped subtest: 2 okay"],
    );
    assert!(!stdout(&read).contains("Parse errors"), "{}", stdout(&read));
    // On standard output there is nothing else.
    let good = suite.test(&["--tap", "--filter", "good"]);
    assert_report(&good, 1, &[]);
    let texts = [
        "TAP version 13",
        "not ok 1 - b.test.lua: the file",
        "ok 2 - a.test.lua: good",
        "1..2",
    ];
    let lines: Vec<_> = stdout(&good).lines().map(str::to_owned).collect();
    for text in texts {
        assert!(lines.iter().any(|line| line == text), "{text}: {lines:?}");
    }
    assert!(stderr(&good).contains("PASS  a.test.lua: good"));
}

#[test]
fn json_report_follows_the_schema() {
    if !has_python("jsonschema") {
        return;
    }
    let suite = suite();
    suite.write(
        "c.test.lua",
        "test('long', function(t) os.execute('sleep 0.4') end)
         test('stuck', function(t) os.execute('sleep 600') end)",
    );
    let args = [
        "--json=r.json",
        "--retries",
        "1",
        "--slow-after",
        "0.2",
        "--file-timeout",
        "4",
    ];
    assert_report(&suite.test(&args), 1, &["TERM"]);
    let filtered = suite.test(&["--json", "--shuffle=3", "--fail-fast", "-j", "1"]);
    suite.write("stopped.json", &stdout(&filtered));
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.schema.json");
    let script = format!(
        "
import json, jsonschema
schema = json.load(open('{schema}'))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
seen = set()
for name in ['r.json', 'stopped.json']:
    for line in open(name):
        event = json.loads(line)
        validator.validate(event)
        seen.add(event['event'])
print(' '.join(sorted(seen)))
bad = {{'time': 1, 'event': 'no_such_event'}}
print(validator.is_valid(bad))
"
    );
    let read = python(&script, suite.path());
    assert_ok(&read);
    assert_eq!(
        stdout(&read),
        "file_failed finished log output planned retried run_began run_ended signalled slow started\n\
         False\n"
    );
}

#[test]
fn report_that_cannot_be_opened_is_refused_before_anything_runs() {
    let suite = Suite::new(&[(
        "a",
        "test('x', function(t) io.open('ran', 'w'):close() end)",
    )]);
    for report in [
        "--junit=no/such/r.xml",
        "--tap=no/such/r.tap",
        "--json=no/such/r.json",
    ] {
        let output = suite.test(&[report]);
        assert_report(&output, 2, &["cannot write the report no/such/r."]);
    }
    let output = suite.test(&["--tap", "--json"]);
    assert_report(
        &output,
        2,
        &["--tap and --json cannot both have standard output"],
    );
    assert!(!suite.path().join("ran").exists());
}

#[test]
fn report_write_error_stops_the_run_with_exit_code_2() {
    let lua = "test('x', function(t) end) test('y', function(t) os.execute('sleep 600') end)";
    let suite = Suite::new(&[("a", lua)]);
    let full = "cannot write the report on standard output: No space left on device";
    for args in [&[][..], &["--tap"], &["--json"], &["--junit", "r.xml"]] {
        let full_device = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = suite.command(args).stdout(full_device).output().unwrap();
        assert_report(&output, 2, &[full]);
    }
    // The other reports are complete.
    let xml = suite.read("r.xml");
    assert!(
        xml.contains("stopped: cannot write") && xml.ends_with("</testsuites>\n"),
        "{xml}"
    );
    for report in ["--junit", "--tap", "--json"] {
        let output = suite.test(&[&format!("{report}=/dev/full"), "--filter", ": x"]);
        assert_report(&output, 2, &["cannot write the report /dev/full: "]);
    }
}

#[test]
fn report_reader_that_leaves_stops_the_run_and_leaves_nothing() {
    let lua = "test('x', function(t) end)
               test('y', function(t) os.execute('echo $$ > pid; exec sleep 600') end)";
    let suite = Suite::new(&[("a", lua)]);
    for command in ["| head -1", "--tap | head -1", "2>&1 | true"] {
        let script = format!("set -o pipefail; '{PROVIUM}' test --slow-after 0.1 {command}");
        let output = run(Command::new("bash")
            .args(["-c", &script])
            .current_dir(suite.path()));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        let pid = std::fs::read_to_string(suite.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            eventually("it is gone", || {
                !provium::os::process::Process::is_running(pid)
            });
        }
    }
    let script =
        format!("set -o pipefail; '{PROVIUM}' test --list | true; '{PROVIUM}' guest list | true");
    let output = run(Command::new("bash")
        .args(["-c", &script])
        .current_dir(suite.path()));
    assert_eq!(stderr(&output), "");
}

#[test]
fn reports_are_whole_without_tests_and_after_a_signal() {
    let lua = "test('x', function(t) os.execute('touch runs; sleep 600') end)";
    let suite = Suite::new(&[("a", lua)]);
    let reports = ["--junit=r.xml", "--tap=r.tap", "--json=r.json"];
    suite.write("r.xml", "an old one");
    let output = suite.test(&[&reports[..], &["--filter", "nosuch"]].concat());
    assert_report(&output, 4, &["no tests"]);
    assert!(
        suite
            .read("r.xml")
            .contains("<testsuites name=\"provium\" tests=\"0\"")
    );
    assert_eq!(suite.read("r.tap"), "TAP version 13\n1..0\n");
    assert!(
        suite
            .read("r.json")
            .contains("\"event\":\"run_ended\",\"passed\":0")
    );

    for signal in [libc::SIGHUP, libc::SIGTERM] {
        let mut run = suite.command(&reports);
        let mut run = run.stdout(std::process::Stdio::null()).spawn().unwrap();
        eventually("it runs", || suite.path().join("runs").exists());
        send(run.id(), signal);
        assert_eq!(run.wait().unwrap().code(), Some(1));
        std::fs::remove_file(suite.path().join("runs")).unwrap();
        let xml = suite.read("r.xml");
        let not_run = "<property name=\"not run\" value=\"x: interrupted\"/>";
        assert!(xml.contains(not_run) && !xml.contains("<testcase"), "{xml}");
        let tap = "# not run: a.test.lua: x: interrupted\n1..1\nBail out! interrupted\n";
        assert!(
            suite.read("r.tap").ends_with(tap),
            "{}",
            suite.read("r.tap")
        );
        assert!(suite.read("r.json").contains("\"not_run\":1"));
    }
}

#[test]
fn name_with_escapes_takes_one_line_and_does_nothing_to_the_terminal() {
    let lua = "test('two\\nlines \\27[31m', function(t) end) test('x', {skip = 'a\\nb'}, print)";
    let suite = Suite::new(&[("a", lua)]);
    let name = r"a.test.lua: two\nlines \u{1b}[31m";
    assert_eq!(
        stdout(&suite.test(&["--list"])),
        format!("{name}\na.test.lua: x\n")
    );
    let output = suite.test(&["--tap=r.tap"]);
    let texts = [&format!("PASS  {name} ("), r"SKIP  a.test.lua: x: a\nb"];
    assert_report(&output, 0, &texts);
    let expected = r"ok 2 - a.test.lua: x # SKIP a\nb";
    assert!(
        suite.read("r.tap").contains(expected),
        "{}",
        suite.read("r.tap")
    );
}

#[test]
fn reports_to_one_file_are_refused() {
    let suite = Suite::new(&[("a", "test('x', function(t) end)")]);
    let output = suite.test(&["--junit=r.xml", "--tap=./r.xml"]);
    assert_report(
        &output,
        2,
        &["two reports cannot both go to ./r.xml: give each a FILE of its own"],
    );
}

/// A terminal in which `provium test` runs, and then says that it is over.
fn in_terminal(suite: &Suite, environment: &str) -> Terminal {
    let folder = suite.path().display();
    let command = format!("cd {folder} && {environment} {PROVIUM} test; echo over; sleep 60");
    Terminal::start(suite.path(), 100, 30, &command)
}

const COLOUR: &str = "\u{1b}[32m";

#[test]
fn terminal_shows_progress_and_colour() {
    if !has("tmux") {
        return;
    }
    let waits = "test('first', function(t) end)
                 test('waits', function(t) while not io.open('go') do end end)";
    let suite = Suite::new(&[("a", waits)]);
    let go = suite.path().join("go");
    let terminal = in_terminal(&suite, "env -u NO_COLOR -u CI TERM=xterm-256color");
    let during = terminal.until("a.test.lua: waits");
    std::fs::write(go, "").unwrap();
    let after = terminal.until("over");
    assert!(during.contains("1/2"), "{during}");
    assert!(during.contains(COLOUR), "{during:?}");
    assert!(
        after.contains("2 passed") && !after.contains("1/2"),
        "{after}"
    );
}

#[test]
fn no_color_is_honoured_and_a_pipe_has_plain_lines() {
    let suite = Suite::new(&[("a", "test('x', function(t) end)")]);
    assert!(!stdout(&suite.test(&[])).contains('\u{1b}'));
    if has("tmux") {
        let terminal = in_terminal(&suite, "NO_COLOR=1 TERM=xterm-256color");
        terminal.until("passed");
        let after = terminal.until("over");
        assert!(!after.contains(COLOUR), "{after:?}");
    }
}
