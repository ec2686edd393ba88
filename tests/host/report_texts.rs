//! Invalid UTF-8, endless output and numbers out of range: what every report makes of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;
use std::time::Instant;

use crate::docs::{help_says, page_says};
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

const RUNNING: &str = "docs/running-tests.md";
const LUA: &str = "docs/lua-reference.md";
const REPORTS: [&str; 3] = ["--junit=r.xml", "--tap=r.tap", "--json=r.json"];

/// Runs one file with all reports: its output for people, and the reports.
fn reported(lua: &str, args: &[&str]) -> (Output, Vec<String>) {
    let suite = Suite::new(&[("a", lua)]);
    let output = suite.test(&[&REPORTS[..], args].concat());
    let reports = ["r.xml", "r.tap", "r.json"].map(|report| suite.read(report));
    let all = [vec![stdout(&output)], reports.to_vec()].concat();
    (output, all)
}

/// A text as the reports show it: JSON and TAP names escape the backslash.
fn has(report: &str, text: &str) -> bool {
    report.contains(text) || report.contains(&text.replace('\\', "\\\\"))
}

#[test]
fn invalid_utf8_is_escaped_with_file_and_line_in_every_report() {
    page_says(RUNNING, "Bytes that are not UTF-8 appear as `\\xff`");
    let lua = r#"test("equal \xff", function(t) t:assert_eq("\xff\0", "\xfe") end)
        test("fails", function(t) t:fail("f\xff") end)
        test("raises", function(t) error("e\xff") end)
        test("caught", function(t) pcall(t.fail, t, "c\xff") end)
        test("logs", function(t) t:log("l\xff") end)
        test("skips", function(t) t:skip("s\xff\0") end)
        test("left out", {skip = "m\xff", tags = "\xff"}, function(t) end)
        test("waits", function(t) wait_until(print, {timeout = 0, desc = "w\xff"}) end)
        test("asks", function(t) wait_until(print, {["o\xff"] = 1}) end)
        test("name \xfe", function(t) t:assert_eq(t.name, "name \xfe") end)"#;
    let (output, reports) = reported(lua, &[]);
    assert_report(&output, 1, &["2 passed, 6 failed, 2 skipped"]);
    let texts = [
        r"equal \xff",
        r"a.test.lua:1: assert_eq failed: \xff\0 ~= \xfe",
        r"a.test.lua:2: f\xff",
        r"a.test.lua:3: e\xff",
        r"a.test.lua:4: c\xff (the error was caught",
        r"l\xff",
        r"s\xff\0",
        r"m\xff",
        r"a.test.lua:8: wait_until: w\xff not met",
        r"a.test.lua:9: wait_until: unknown option `o\xff`",
        r"name \xfe",
    ];
    for report in reports {
        for text in texts {
            assert!(has(&report, text), "{text}: {report}");
        }
    }
}

#[test]
fn invalid_utf8_raised_by_a_file_or_its_todo_is_reported() {
    let (output, _) = reported("\nerror('top \\xff')", &[]);
    assert_report(&output, 1, &[r"a.test.lua:2: top \xff"]);
    let (output, _) = reported("todo('later \\xff') test('x', print)", &[]);
    assert_report(&output, 0, &[r"SKIP  a.test.lua: x: later \xff"]);
}

#[test]
fn raised_value_has_a_place_whatever_it_is() {
    page_says(
        "docs/lua-reference.md",
        "as in `error({code = 1})`, is shown with its fields and its place",
    );
    let lua = r#"test("table", function(t) error({code = 1, text = "\xff"}) end)
        test("number", function(t) error(5) end)
        test("nothing", function(t) error() end)
        test("text", function(t) error(setmetatable({}, {__tostring = function() return "\xff!" end})) end)
        test("thread", function(t) coroutine.wrap(function() error({}) end)() end)"#;
    let (output, _) = reported(lua, &[]);
    let texts = [
        r#"a.test.lua:1: {code = 1, text = "\xff"}"#,
        "a.test.lua:2: 5",
        "a.test.lua:3: nil",
        r"a.test.lua:4: \xff!",
        "a.test.lua:5: {}",
    ];
    assert_report(&output, 1, &texts);
    let (output, _) = reported("error({code = 1})", &[]);
    assert_report(&output, 1, &["a.test.lua:1: {code = 1}"]);
}

#[test]
fn file_name_with_invalid_utf8_is_shown_escaped_and_found_again() {
    let suite = Suite::new(&[]);
    let name = OsStr::from_bytes(b"\xff\x1b.test.lua");
    let lua = "test('x', function(t) t:fail('oh') end)";
    std::fs::write(suite.path().join(name), lua).unwrap();
    let texts = [r"\xff\u{1b}.test.lua:1: oh", "0 passed, 1 failed"];
    assert_report(&suite.test(&REPORTS), 1, &texts);
    assert!(
        suite
            .read("r.json")
            .contains(r#""file":"\\xff\u001b.test.lua""#)
    );
    assert!(
        suite
            .read("r.tap")
            .contains(r"not ok 1 - \\xff\\u{1b}.test.lua: x")
    );
    assert!(
        suite
            .read("r.xml")
            .contains(r#"classname="\xff\u{1b}.test.lua""#)
    );
    let listed = stdout(&suite.test(&["--rerun-failed", "--list"]));
    assert_eq!(listed, "\\xff\\u{1b}.test.lua: x\n");
}

#[test]
fn reports_have_no_escape_sequence_of_a_test() {
    page_says(
        "docs/security.md",
        "are shown with control characters written as `\\u{1b}`",
    );
    page_says(RUNNING, "control characters as `\\u{1b}`");
    let lua = r#"test("x \27[1m", function(t)
          t:log("logged \27]0;title\7\nok 7 - forged")
          print("printed \27[2J")
          error("raised \27[31m\nnot ok 8 - forged")
        end)"#;
    let (output, reports) = reported(lua, &[]);
    assert_report(&output, 1, &["0 passed, 1 failed"]);
    for report in &reports {
        let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!report.contains(is_control), "{report:?}");
    }
    let tap = &reports[2];
    let results = tap
        .lines()
        .filter(|line| line.starts_with("ok") || line.starts_with("not ok"));
    assert_eq!(results.count(), 1, "{tap}");
    assert!(reports[1].contains("<system-out>logged "), "{}", reports[1]);
}

#[test]
fn long_texts_are_cut_quickly_and_visibly() {
    page_says(LUA, "with tabs between them, up to 64 KiB");
    page_says(RUNNING, "64 KiB: the first 48 and the last 16");
    page_says(RUNNING, "a value in an assertion's error | 16 KiB");
    let lua = r#"local long = ("x"):rep(16 << 20)
        test("raises", function(t) error(long) end)
        test("logs", function(t) t:log(long) end)
        test("compares", function(t) t:assert_eq(long, long .. "y") end)
        test("goes on", function(t) end)"#;
    let began = Instant::now();
    let (output, reports) = reported(lua, &[]);
    let took = began.elapsed();
    let left_out = (16 << 20) + "a.test.lua:2: ".len() - (64 << 10);
    let texts = [
        "2 passed, 2 failed",
        &format!("... ({left_out} bytes left out) ..."),
        "a.test.lua:2: xxx",
        "a.test.lua:4: assert_eq failed: xxx",
    ];
    assert_report(&output, 1, &texts);
    assert!(took < 2 * PATIENCE, "{took:?}");
    for report in reports {
        assert!(report.len() < 400 << 10, "{}", report.len());
    }
}

#[test]
fn endless_output_is_shown_with_its_beginning_and_end() {
    page_says(
        RUNNING,
        "output of a file | the first 128 KiB and the last 128 KiB",
    );
    let lua = r#"test("prints", function(t)
          local line = ("x"):rep(1 << 20)
          for _ = 1, 64 do io.write(line) end
          print("last")
          error("oh")
        end)"#;
    let (output, reports) = reported(lua, &[]);
    let printed = (64 << 20) + "last\n".len();
    let left_out = format!("... ({} bytes left out) ...", printed - (256 << 10));
    assert_report(&output, 1, &["a.test.lua printed:", &left_out, "xlast\n"]);
    for report in reports {
        assert!(report.len() < 300 << 10, "{}", report.len());
    }
}

#[test]
fn test_that_never_started_is_neither_failed_nor_skipped_and_has_0_tries() {
    page_says(RUNNING, "neither failed nor skipped, and tried 0 times");
    page_says(RUNNING, "JUnit lists the test in a property `not run`");
    let lua = "test('dies', function(t) os.execute('kill -9 $PPID') end)
               test('last', function(t) end)
               test('out', {skip = true}, function(t) end)";
    let (output, reports) = reported(lua, &["--filter", "a.test.lua"]);
    assert_report(&output, 1, &["0 passed, 1 failed, 0 skipped, 2 not run"]);
    let [_, xml, tap, json] = reports.try_into().unwrap();
    let reason = "the file's process ended by signal 9 in an earlier test";
    let comment = format!("# not run: a.test.lua: last: {reason}\n");
    assert!(tap.contains(&comment) && tap.ends_with("1..3\n"), "{tap}");
    assert!(!tap.contains("SKIP") && tap.matches("not ok").count() == 1);
    assert!(
        xml.contains(r#"tests="1" skipped="0" failures="1" errors="0""#),
        "{xml}"
    );
    assert!(
        xml.contains(r#"<property name="not run" value="last: the file"#),
        "{xml}"
    );
    let event = format!(
        r#""test":"last","outcome":"not_run","reason":"{reason}","seconds":0.0,"attempts":0"#
    );
    assert!(json.contains(&event), "{json}");
    let (_, reports) = reported("test('out', {skip = true}, function(t) end)", &[]);
    let json = &reports[3];
    assert!(
        !json.contains("\"started\"") && json.contains("\"attempts\":0"),
        "{json}"
    );
}

#[test]
fn rounds_run_one_after_the_other_and_each_has_its_number() {
    page_says(
        RUNNING,
        "one round after the other, up to 1,000,000; the report names the round",
    );
    let lua = "test('x', function(t)
                 t:assert(not io.open('runs'), 'another round runs')
                 io.open('runs', 'w'):close()
                 os.execute('sleep 0.05')
                 os.remove('runs')
               end)";
    let (output, reports) = reported(lua, &["--repeat", "3", "-j", "4"]);
    assert_report(&output, 0, &["3 passed, 0 failed"]);
    for report in &reports[..3] {
        for round in 1..=3 {
            assert!(report.contains(&format!("(round {round})")), "{report}");
        }
    }
    let (_, reports) = reported("test('x', print)", &[]);
    assert!(reports.iter().all(|report| !report.contains("(round")));
}

#[test]
fn stopped_run_names_its_round_and_no_later_one() {
    page_says(RUNNING, "ends with `Bail out!` when the run was stopped");
    page_says(
        RUNNING,
        "With `--repeat`, the report does not mention rounds that have not begun",
    );
    let lua = "test('x', function(t) t:fail() end) test('y', print)";
    let (output, reports) = reported(lua, &["--repeat", "1000000", "--fail-fast"]);
    let stopped = "stopped after 1 failure, in round 1 of 1000000";
    assert_report(
        &output,
        1,
        &[stopped, "0 passed, 1 failed, 0 skipped, 1 not run"],
    );
    assert!(reports[2].ends_with(&format!("1..2\nBail out! {stopped}\n")));
}

#[test]
fn numeric_options_out_of_range_are_refused_with_a_sentence() {
    page_says(RUNNING, "up to N times (1,000 at most)");
    page_says(RUNNING, "up to 1,000,000");
    page_says(RUNNING, "a SLOW line appears after this time, 0.1 at least");
    page_says(RUNNING, "files at a time, 1,000 at most");
    let cases = [
        (
            &["--retries", "4294967295"][..],
            "valid: a whole number from 0 to 1000",
        ),
        (&["--retries", "-1"], "unexpected argument '-1'"),
        (
            &["--repeat", "4294967295"],
            "valid: a whole number from 1 to 1000000",
        ),
        (
            &["--repeat", "0"],
            "valid: a whole number from 1 to 1000000",
        ),
        (&["-j", "1001"], "valid: a whole number from 1 to 1000"),
        (
            &["-j", "18446744073709551616"],
            "valid: a whole number from 1 to 1000",
        ),
        (&["--max-fail", "0"], "valid: a whole number from 1 to"),
        (
            &["--timeout", "1e400"],
            "as in 90 or 5m: above 0, below 100 million seconds",
        ),
        (&["--timeout", "nan"], "as in 90 or 5m: above 0"),
        (&["--timeout", "5min"], "as in 90 or 5m: above 0"),
        (&["--file-timeout", "0"], "as in 90 or 5m: above 0"),
        (
            &["--slow-after", "1e-9"],
            "the shortest time between two warnings is 0.1 seconds",
        ),
        (&["--partition", "slice:1/0"], "with M from 1 to N"),
        (
            &["--partition", "hash:1/18446744073709551616"],
            "with M from 1 to N",
        ),
        (
            &["--shuffle=18446744073709551616"],
            "valid: a whole number from 0 to",
        ),
    ];
    let suite = Suite::new(&[("a", "test('x', print)")]);
    for (args, text) in cases {
        assert_report(&suite.test(args), 2, &[text]);
    }
    let most = [
        "--retries",
        "1000",
        "-j",
        "1000",
        "--timeout",
        "99999999",
        "--file-timeout",
        "99999999",
        "--max-fail",
        "4294967295",
        "--slow-after",
        "99999999",
        "--shuffle=18446744073709551615",
        "--repeat",
        "2",
    ];
    assert_report(&suite.test(&most), 0, &["2 passed"]);
}

#[test]
fn test_name_has_a_limit() {
    page_says(RUNNING, "up to 1,000 bytes; a longer one is an error");
    let (output, _) = reported("test(('x'):rep(1000), print)", &[]);
    assert_report(&output, 0, &["1 passed"]);
    let (output, _) = reported("test(('x'):rep(1001), print)", &[]);
    assert_report(
        &output,
        1,
        &["test: a name has at most 1000 bytes, this one has 1001"],
    );
}

#[test]
fn junit_report_has_at_most_a_mebibyte_of_a_tests_log() {
    page_says(RUNNING, "the log of one test, in JUnit | 1 MiB");
    let lua = "test('x', function(t) for _ = 1, 20 do t:log(('x'):rep(60 << 10)) end end)";
    let (_, reports) = reported(lua, &[]);
    let xml = &reports[1];
    assert!(
        xml.contains("x\n... (more was logged)\n</system-out>"),
        "{}",
        xml.len()
    );
    assert!(
        (1000 << 10..1030 << 10).contains(&xml.len()),
        "{}",
        xml.len()
    );
    assert_eq!(xml.matches("more was logged").count(), 1);
}

#[test]
fn console_excerpt_shows_the_end_and_a_flood_leaves_a_gap() {
    page_says(RUNNING, "20 lines, the last 400 characters of each");
    page_says(RUNNING, "keeps the first MiB and the last 16");
    page_says(LUA, "Of more than 17 MiB the first MiB and the last 16");
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), ("x".repeat(500) + "\n").repeat(30)).unwrap();
    let end = provium::vm::console_end(log.path());
    let lines: Vec<_> = end.lines().skip(1).collect();
    assert_eq!(lines, vec![format!("  | ... {}", "x".repeat(400)); 20]);
    assert_eq!(
        (
            provium::os::capped_log::FIRST,
            provium::os::capped_log::LAST
        ),
        (1 << 20, 16 << 20)
    );
}

#[test]
fn defaults_are_a_minute_a_test_and_slow_after_15_seconds() {
    page_says(RUNNING, "| `--timeout SECONDS` | 60 |");
    page_says(
        LUA,
        "in place of `provium.timeout` and `--timeout` (60 seconds)",
    );
    page_says(RUNNING, "| `--slow-after SECONDS` | 15 |");
    help_says(
        "test",
        "--slow-after <SECONDS> Report a test as slow after this time [default: 15]",
    );
    let (_, reports) = reported("test('x', print)", &[]);
    assert!(reports[3].contains("\"timeout\":60.0"), "{}", reports[3]);
}
