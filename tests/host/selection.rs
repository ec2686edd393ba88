//! Which tests `provium test` runs, and in which order.

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

fn suite() -> Suite {
    Suite::new(&[
        (
            "a",
            "test('one', {tags = {'quick', 'read'}}, function(t) end)
             test('two', {tags = 'write'}, function(t) end)",
        ),
        (
            "b",
            "test('three', {tags = {'read'}}, function(t) end)
             test('four', {slow = true}, function(t) end)",
        ),
    ])
}

#[test]
fn list_has_a_line_a_test_with_its_tags_and_runs_none() {
    let output = suite().test(&["--list"]);
    assert_eq!(
        stdout(&output),
        "a.test.lua: one [quick, read]\na.test.lua: two [write]\n\
         b.test.lua: three [read]\nb.test.lua: four\n"
    );
}

#[test]
fn filters_look_at_path_and_name_and_several_add_up() {
    let suite = suite();
    assert_eq!(suite.listed(&["--filter", "b.test.lua"]), ["three", "four"]);
    assert_eq!(suite.listed(&["--filter", ": t"]), ["two", "three"]);
    assert_eq!(
        suite.listed(&["--filter", "one", "--filter", "four"]),
        ["one", "four"]
    );
}

#[test]
fn tags_include_and_exclude() {
    let suite = suite();
    assert_eq!(suite.listed(&["--tag", "read"]), ["one", "three"]);
    assert_eq!(
        suite.listed(&["--tag", "read", "--no-tag", "quick"]),
        ["three"]
    );
    assert_eq!(suite.listed(&["--no-tag", "read"]), ["two", "four"]);
}

#[test]
fn selected_tests_alone_run() {
    let output = suite().test(&["--filter", "three"]);
    assert_report(
        &output,
        0,
        &["b.test.lua: three", "1 passed, 0 failed, 0 skipped"],
    );
}

#[test]
fn slow_tests_are_skipped_aloud_until_they_are_asked_for() {
    page_says(
        "docs/lua-reference.md",
        "`true`: the test runs only with `--include-slow`",
    );
    let output = suite().test(&["b.test.lua"]);
    let skipped = "SKIP  b.test.lua: four: slow: run it with --include-slow";
    assert_report(&output, 0, &[skipped, "1 passed, 0 failed, 1 skipped"]);
    let output = suite().test(&["b.test.lua", "--include-slow"]);
    assert_report(&output, 0, &["2 passed, 0 failed, 0 skipped"]);
}

#[test]
fn exit_code_is_4_when_nothing_is_selected() {
    let output = suite().test(&["--filter", "no such test"]);
    assert_report(
        &output,
        4,
        &["no tests: none of 4 tests is selected by --filter 'no such test'"],
    );
    let output = suite().test(&["--tag", "wriet", "--no-tag", "quick"]);
    let said = "none of 4 tests is selected by --tag wriet --no-tag quick; no test has the tag `wriet`; did you mean `write`? \
                (there are: quick, read, write)";
    assert_report(&output, 4, &[said]);
    let output = suite().test(&["--filter", "no such test", "--list"]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn partition_parts_are_disjoint_and_complete() {
    let lua: String = (0..30)
        .map(|n| format!("test('{n}', function(t) end)\n"))
        .collect();
    let suite = Suite::new(&[("a", &lua), ("b", &lua)]);
    let whole = stdout(&suite.test(&["--list"]));
    for kind in ["slice", "hash"] {
        let part = |n| stdout(&suite.test(&["--list", "--partition", &format!("{kind}:{n}/3")]));
        let parts = [1, 2, 3].map(part);
        let mut lines: Vec<_> = parts.iter().flat_map(|part| part.lines()).collect();
        let mut all: Vec<_> = whole.lines().collect();
        lines.sort_unstable();
        all.sort_unstable();
        assert_eq!(lines, all, "{kind}");
    }
}

#[test]
fn hash_partition_does_not_depend_on_the_projects_place() {
    let lua: String = (0..30)
        .map(|n| format!("test('{n}', function(t) end)\n"))
        .collect();
    let part = |suite: Suite| suite.listed(&["--partition", "hash:2/3"]);
    assert_eq!(
        part(Suite::new(&[("a", &lua)])),
        part(Suite::new(&[("a", &lua)]))
    );
}

#[test]
fn hash_partition_does_not_depend_on_how_a_path_is_given() {
    let suite = suite();
    std::fs::remove_file(suite.path().join("provium.toml")).unwrap();
    let here = suite.path().display().to_string();
    let in_parts = |path: &str| {
        ["1", "2", "3"].map(|n| suite.listed(&[path, "--partition", &format!("hash:{n}/3")]))
    };
    assert_eq!(in_parts("."), in_parts(&here));
    assert_eq!(in_parts(".").concat().len(), 4);
}

#[test]
fn partition_part_without_a_test_fails() {
    page_says("docs/ci.md", "a part without a test ends with exit code 4");
    let output = suite().test(&["--partition", "slice:9/9"]);
    assert_report(
        &output,
        4,
        &["no tests: none of 4 tests is selected by --partition"],
    );
    let output = suite().test(&["--partition", "slice:0/9"]);
    assert_report(&output, 2, &["a partition is slice:M/N or hash:M/N"]);
}

#[test]
fn shuffle_order_is_reproduced_by_its_seed() {
    let lua: String = (0..20)
        .map(|n| format!("test('{n}', function(t) end)\n"))
        .collect();
    let suite = Suite::new(&[("a", &lua)]);
    let order = |seed: &str| Suite::lines(&suite.test(&[&format!("--shuffle={seed}")]), "PASS");
    assert_eq!(order("7").len(), 20);
    assert_eq!(order("7"), order("7"));
    assert_ne!(order("7"), order("8"));
    let output = stdout(&suite.test(&["--shuffle"]));
    let seed = output
        .split("--shuffle=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let printed: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("PASS"))
        .collect();
    assert_eq!(order(seed).len(), printed.len());
    let names = printed
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap().split(" (").next().unwrap());
    assert_eq!(order(seed), names.collect::<Vec<_>>());
}

#[test]
fn rerun_failed_runs_failures_until_none_is_left() {
    let suite = Suite::new(&[(
        "a",
        "test('good', function(t) end)
         test('bad', function(t) t:assert(io.open('mended')) end)",
    )]);
    let output = suite.test(&["--rerun-failed"]);
    assert_report(&output, 4, &["no tests"]);
    assert_report(&suite.test(&[]), 1, &["1 passed, 1 failed"]);
    assert_eq!(suite.listed(&["--rerun-failed"]), ["bad"]);
    assert_report(&suite.test(&["--rerun-failed"]), 1, &["0 passed, 1 failed"]);
    suite.write("mended", "");
    // A run of something else does not forget it.
    assert_report(&suite.test(&["--filter", "good"]), 0, &["1 passed"]);
    assert_report(&suite.test(&["--rerun-failed"]), 0, &["1 passed, 0 failed"]);
    assert_report(&suite.test(&["--rerun-failed"]), 4, &["no tests"]);
}

#[test]
fn repeat_runs_everything_as_often_as_asked() {
    let output = suite().test(&["a.test.lua", "--repeat", "3"]);
    let texts = [
        "a.test.lua: one (",
        "one (round 2)",
        "one (round 3)",
        "6 passed",
    ];
    assert_report(&output, 0, &texts);
}

#[test]
fn file_that_cannot_be_listed_fails_with_its_reason() {
    let suite = suite();
    suite.write("c.test.lua", "error('broken')");
    let output = suite.test(&["--list"]);
    assert_report(
        &output,
        1,
        &["a.test.lua: one", "c.test.lua", "c.test.lua:1: broken"],
    );
    let output = suite.test(&["--filter", "one"]);
    assert_report(&output, 1, &["FAIL  c.test.lua", "1 passed, 1 failed"]);
}

#[test]
fn list_starts_no_vm_whatever_the_file_does_with_it() {
    page_says(
        "docs/lua-reference.md",
        "`provium` is then a stand-in, which accepts every call and starts nothing",
    );
    let suite = Suite::new(&[(
        "a",
        "local vm = provium:vm('v', 'no such profile'):boot{memory = '1T'}
         local out = vm:run('uname').stdout
         for line in out:gmatch('.') do error(line) end
         for _, x in ipairs(json.decode(out)) do error(x) end
         test('named ' .. vm:name() .. #out, function(t) end)",
    )]);
    assert_eq!(suite.listed(&[]), ["named "]);
    assert_report(&suite.test(&[]), 1, &["unknown profile `no such profile`"]);
}

#[test]
fn tests_run_where_nothing_can_be_remembered() {
    let suite = Suite::new(&[
        ("a", "test('good', function(t) end)"),
        ("b", "test('bad', function(t) error('no') end)"),
    ]);
    // No folder, for root too.
    suite.write("cache", "a file");
    assert_report(&suite.test(&["a.test.lua"]), 0, &["1 passed, 0 failed"]);
    let warning = "`--rerun-failed` will not know of this run: ";
    assert_report(
        &suite.test(&["b.test.lua"]),
        1,
        &["0 passed, 1 failed", warning, "set XDG_CACHE_HOME"],
    );
    let again = suite.test(&["--rerun-failed"]);
    assert_report(&again, 1, &["cache/provium/last-run/", "Not a directory"]);
}
