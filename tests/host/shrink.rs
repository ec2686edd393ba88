//! `provium test --record-faults` and `--shrink`: what fired in a failed test, and which of it the test needs to fail.

use std::path::PathBuf;

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

/// A test that writes 600 records and loses those whose write fails; then `check` looks at the table `lost`.
fn records(rule: &str, check: &str) -> String {
    format!(
        "test('another one', function() end)
         test('records survive', function(t)
           local image = os.tmpname()
           assert(os.execute('truncate -s 1M ' .. image))
           local disk = provium:vm('v', 'default'):attach_disk({{ id = 'vda', path = image }})
           disk:fault_inject('{rule}')
           local lost = {{}}
           for sector = 0, 999 do
             lost[sector] = not pcall(disk.write_sectors, disk, sector, ('x'):rep(512))
           end
           os.remove(image)
           {check}
         end)"
    )
}

const RULE: &str = "error op=write every=2";
const SHRINK: [&str; 3] = ["--shrink", "--filter", "records survive"];

/// The number before a word of a report.
fn number_before(report: &str, word: &str) -> u64 {
    let before = report.split(word).next().unwrap();
    let digits = before
        .trim_end()
        .rsplit(|c: char| !c.is_ascii_digit())
        .next();
    digits.unwrap().parse().unwrap()
}

#[test]
fn shrink_finds_exactly_the_2_of_500_faults_that_a_bug_needs_in_at_most_100_runs() {
    let check = "t:assert(not (lost[301] and lost[777]), 'record 301 and its copy are lost')";
    let suite = Suite::new(&[("a", &records(RULE, check))]);
    let output = suite.test(&SHRINK);
    let texts = [
        "needs 2 of 500 faults:",
        "v.vda: write 301 1, touch 1",
        "v.vda: write 777 1, touch 1",
        "written to a.shrunk.test.lua",
    ];
    assert_report(&output, 0, &texts);
    assert!(
        number_before(&stdout(&output), " runs") <= 100,
        "{}",
        stdout(&output)
    );
    let written = suite.read("a.shrunk.test.lua");
    assert_eq!(written.matches(" times=1\"").count(), 2, "{written}");
    let output = suite.test(&["a.shrunk.test.lua"]);
    let texts = [
        "record 301 and its copy are lost",
        "0 passed, 1 failed, 0 skipped",
    ];
    assert_report(&output, 1, &texts);
    assert_eq!(suite.listed(&["a.shrunk.test.lua"]), ["records survive"]);
    // Without one of them it passes.
    let line = written
        .lines()
        .find(|line| line.contains("at=301+1"))
        .unwrap();
    suite.write("b.test.lua", &written.replacen(line, "", 1));
    assert_report(&suite.test(&["b.test.lua"]), 0, &["1 passed, 0 failed"]);
}

#[test]
fn shrink_says_that_a_test_does_not_fail_and_how_often_it_ran() {
    let suite = Suite::new(&[("a", &records(RULE, ""))]);
    let output = suite.test(&SHRINK);
    assert_report(
        &output,
        1,
        &["it passed in 10 runs: there is no failure to make smaller"],
    );
    page_says(
        "docs/replay.md",
        "it passed in 10 runs: there is no failure to make smaller",
    );
}

#[test]
fn shrink_says_that_a_test_fails_without_faults() {
    let suite = Suite::new(&[("a", &records("error op=read", "t:fail('worn out')"))]);
    let output = suite.test(&SHRINK);
    assert_report(
        &output,
        1,
        &["no fault fired, and it failed: a.test.lua:", "worn out"],
    );
    let suite = Suite::new(&[(
        "a",
        &records("error op=write times=3", "t:fail('worn out')"),
    )]);
    let output = suite.test(&SHRINK);
    assert_report(
        &output,
        1,
        &["it fails without any fault, too: a.test.lua:", "worn out"],
    );
    assert!(!suite.path().join("a.shrunk.test.lua").exists());
}

#[test]
fn shrink_takes_another_error_for_another_failure() {
    let check = "t:assert(not lost[7] or lost[5], 'only the copy is lost')
                 t:assert(not (lost[5] and lost[7]), 'both are lost')";
    let suite = Suite::new(&[("a", &records("error op=write times=10", check))]);
    let output = suite.test(&SHRINK);
    assert_report(
        &output,
        0,
        &[
            "both are lost",
            "needs 2 of 10 faults:",
            "write 5 1",
            "write 7 1",
        ],
    );
}

/// The only recording in `kept`.
fn recording(suite: &Suite) -> PathBuf {
    let mut kept = suite.path().join("kept").read_dir().unwrap();
    kept.next().unwrap().unwrap().path()
}

#[test]
fn recorded_faults_of_a_failed_test_are_kept_and_shrunk_later() {
    let check = "t:assert(not lost[9] or os.getenv('MENDED'), 'record 9 is lost')";
    let suite = Suite::new(&[("a", &records("error op=write every=2 times=20", check))]);
    let output = suite.test(&["--record-faults", "kept"]);
    assert_report(
        &output,
        1,
        &["20 faults fired, kept in kept/a.test.lua-records-survive-"],
    );
    let folder = recording(&suite);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("disks/v.vda/decisions").lines().count(), 20);
    assert_eq!(read("disks/v.vda/replay").lines().count(), 20);
    assert!(
        read("test.json").contains("\"provium\"")
            && read("disks/v.vda/disk.json").contains("\"seed\"")
    );
    let shrink = format!("--shrink={}", folder.display());
    let mut mended = suite.command(&[&shrink]);
    let output = run(mended.env("MENDED", "1"));
    assert_report(
        &output,
        1,
        &[
            "with all 20 recorded faults it did not fail as recorded in 3 runs",
            "(it passed)",
        ],
    );
    let output = suite.test(&[&shrink]);
    assert_report(&output, 0, &["needs 1 of 20 faults:", "write 9 1, touch 1"]);
}

#[test]
fn recording_of_another_version_or_of_no_test_is_said() {
    let suite = Suite::new(&[(
        "a",
        &records("error op=write times=2", "t:assert(not lost[1], 'lost')"),
    )]);
    suite.test(&["--record-faults", "kept"]);
    let folder = recording(&suite);
    let record = std::fs::read_to_string(folder.join("test.json")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    std::fs::write(folder.join("test.json"), record.replace(version, "0.0.9")).unwrap();
    let shrink = format!("--shrink={}", folder.display());
    let warning = format!("provium 0.0.9 made the recording, and this is {version}");
    assert_report(
        &suite.test(&[&shrink]),
        0,
        &[&warning, "needs 1 of 2 faults:"],
    );
    std::fs::rename(
        suite.path().join("a.test.lua"),
        suite.path().join("b.test.lua"),
    )
    .unwrap();
    assert_report(
        &suite.test(&[&shrink]),
        1,
        &["the recording is of a.test.lua, and ", "has no such file"],
    );
    assert_report(
        &suite.test(&["--shrink=kept"]),
        2,
        &["kept is not the folder of a recorded test: test.json:"],
    );
}

#[test]
fn shrink_does_not_replace_a_file_that_it_did_not_write() {
    let lua = records("error op=write times=2", "t:assert(not lost[1], 'lost')");
    let suite = Suite::new(&[("a", &lua), ("a.shrunk", "-- mine")]);
    let output = suite.test(&["--shrink", "a.test.lua:2"]);
    assert_report(&output, 0, &["written to a.shrunk-2.test.lua"]);
    assert_eq!(suite.read("a.shrunk.test.lua"), "-- mine");
    assert_report(
        &suite.test(&["--shrink", "a.test.lua:2"]),
        0,
        &["written to a.shrunk-2.test.lua"],
    );
}

#[test]
fn replayed_test_finds_the_rules_that_it_has_armed() {
    let check = "t:assert_eq(#disk:active_faults(), 1)
                 t:assert_contains(disk:active_faults()[1], 'times=4')
                 disk:clear_faults()
                 t:assert_eq(#disk:active_faults(), 0)
                 t:assert(not lost[2], 'lost')";
    let suite = Suite::new(&[("a", &records("error op=write times=4", check))]);
    assert_report(
        &suite.test(&SHRINK),
        0,
        &["needs 1 of 4 faults:", "write 2 1, touch 1"],
    );
}

#[test]
fn replay_call_says_what_is_wrong_with_it() {
    let wrong = |call: &str| {
        let suite = Suite::new(&[("a", &format!("{call}\ntest('x', function() end)"))]);
        let output = suite.test(&[]);
        assert_eq!(output.status.code(), Some(1));
        stdout(&output)
    };
    let late = wrong("test('y', function() end) provium:replay('y', {})");
    assert!(
        late.contains("provium:replay: call it at the beginning of the file"),
        "{late}"
    );
    let bad = wrong("provium:replay('x', { ['v.vda'] = { [1] = { rule = 'slow', 'eror' } } })");
    assert!(
        bad.contains("disk `v.vda`: rule 1: line 1, column 1: unknown mode `eror`"),
        "{bad}"
    );
    let zero = wrong("provium:replay('x', { ['v.vda'] = { [0] = { rule = 'slow' } } })");
    assert!(zero.contains("rules are numbered from 1"), "{zero}");
}

#[test]
fn killed_shrink_leaves_no_process_and_no_mount() {
    let check =
        "io.open('begun', 'w'):close() os.execute('sleep 600') t:assert(not lost[1], 'lost')";
    let suite = Suite::new(&[("a", &records("error op=write times=2", check))]);
    let mut child = suite.command(&SHRINK).spawn().unwrap();
    eventually("the test runs", || suite.path().join("begun").exists());
    let of_suite = || {
        let marks = suite.path().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = processes.filter(|process| {
            let cwd = process.path().join("cwd").read_link().ok();
            cwd.is_some_and(|cwd| cwd.starts_with(&marks))
        });
        ours.count()
    };
    assert!(of_suite() > 1);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("nothing of it is left", || of_suite() == 0);
}
