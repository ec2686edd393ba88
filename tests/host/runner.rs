//! `provium test` on files that pass, fail, raise, loop, crash and do not parse; without a guest.

use std::process::{Command, Output};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

/// Runs `provium test` on one file with this content.
fn test_file(lua: &str, args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.test.lua"), lua).unwrap();
    run(Command::new(PROVIUM)
        .arg("test")
        .args(args)
        .current_dir(folder.path())
        .arg("a.test.lua"))
}

#[test]
fn results_tell_passed_failed_and_skipped_tests_apart() {
    let output = test_file(
        "test('good', function(t) t:assert(true) end)
         test('bad', function(t)
           t:assert_eq(1 + 1, 3)
         end)
         test('left out', {skip = 'not today'}, function(t) error('never') end)
         test('gives up', function(t) t:skip('no disk') end)",
        &[],
    );
    assert_report(
        &output,
        1,
        &[
            "PASS  a.test.lua: good",
            "FAIL  a.test.lua: bad",
            "a.test.lua:3: assert_eq failed: 2 ~= 3",
            "SKIP  a.test.lua: left out: not today",
            "SKIP  a.test.lua: gives up: no disk",
            "1 passed, 1 failed, 2 skipped",
        ],
    );
}

#[test]
fn failed_assertion_counts_even_in_a_pcall() {
    page_says(
        "docs/lua-reference.md",
        "A failed assertion fails the test even if a pcall swallows the error",
    );
    let output = test_file(
        "test('x', function(t) pcall(function() t:assert(false) end) end)",
        &[],
    );
    let text = "a.test.lua:1: assertion failed (the error was caught by a pcall;";
    assert_report(&output, 1, &[text]);
    let output = test_file(
        "test('x', function(t)
           pcall(t.fail, t, 'straight')
         end)",
        &[],
    );
    assert_report(&output, 1, &["a.test.lua:2: straight (the error was"]);
}

#[test]
fn timeout_fails_its_test_even_in_a_pcall() {
    let output = test_file(
        "test('sleeps', {timeout = '50ms'}, function(t)
           local clock = provium:vm('v', 'default'):clock()
           pcall(clock.sleep, clock, 5)
         end)
         test('waits', {timeout = '50ms'}, function(t) os.execute('sleep 0.1') end)
         test('gives up', {timeout = '50ms'}, function(t) os.execute('sleep 0.1') t:skip('late') end)",
        &[],
    );
    let text = "the test's time is up: it took longer than 0.05s";
    assert_report(&output, 1, &[text, "0 passed, 3 failed, 0 skipped"]);
}

#[test]
fn skip_hides_no_failure() {
    page_says(
        "docs/lua-reference.md",
        "ends the test as skipped, unless something in it fails",
    );
    let output = test_file(
        "test('later', function(t) pcall(t.skip, t, 'x') t:assert(false, 'really broken') end)
         test('before', function(t) pcall(t.fail, t, 'broken before') t:skip('y') end)
         test('alone', function(t) pcall(t.skip, t, 'z') end)",
        &[],
    );
    let texts = [
        "a.test.lua:1: really broken",
        "a.test.lua:2: broken before (the error was caught",
        "SKIP  a.test.lua: alone: z",
        "0 passed, 2 failed, 1 skipped",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn raised_error_is_shown_whole_whatever_it_is() {
    let output = test_file(
        "test('zero', function(t) t:fail('a\\0b') end)
         test('raised', function(t) error('c\\0d') end)
         test('nothing', function(t) error() end)
         test('deep', function(t) local function f() return 1 + f() end f() end)
         test('object', function(t) error(setmetatable({}, {__tostring = function() return 'object!' end})) end)",
        &[],
    );
    let texts = [
        r"a.test.lua:1: a\0b",
        r"a.test.lua:2: c\0d",
        "      a.test.lua:3: nil\n",
        "a.test.lua:4: stack overflow",
        "      a.test.lua:5: object!\n",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn assertions_say_what_they_found() {
    let output = test_file(
        "local function fails(t, fn, text)
           local ok, err = pcall(fn)
           assert(not ok and tostring(err):find(text, 1, true), tostring(err))
           t.failed = nil
         end
         test('texts', function(t)
           fails(t, function() t:assert(nil) end, 'assertion failed')
           fails(t, function() t:assert(false, 'mine') end, 'mine')
           fails(t, function() t:assert_eq('a', 'b') end, 'assert_eq failed: a ~= b')
           fails(t, function() t:assert_eq(1, 2, 'sum') end, 'sum: 1 ~= 2')
           fails(t, function() t:assert_neq(1, 1) end, 'assert_neq failed: 1 == 1')
           fails(t, function() t:assert_contains('abc', 'x') end, 'assert_contains failed: x not found in: abc')
           fails(t, function() t:assert_raises(function() end) end, 'assert_raises: expected to raise')
           fails(t, function() t:fail() end, 'explicit failure (t:fail)')
           t:assert_eq(t:assert_raises(function() error({1}) end)[1], 1)
           t:assert_eq(t.name, 'texts')
           t:assert_contains('a.b', '.')
         end)",
        &[],
    );
    assert_report(&output, 0, &["1 passed, 0 failed"]);
}

#[test]
fn file_that_does_not_parse_fails_with_its_line() {
    assert_report(
        &test_file("test('x',\n\nfunction(t) end", &[]),
        1,
        &["FAIL  a.test.lua", "a.test.lua:3:"],
    );
}

#[test]
fn error_outside_of_the_tests_fails_the_file() {
    assert_report(&test_file("\nerror('top')", &[]), 1, &["a.test.lua:2: top"]);
    let twice = "test('x', function() end) test('x', function() end)";
    assert_report(
        &test_file(twice, &[]),
        1,
        &["test: duplicate name `x` in this file"],
    );
    assert_report(
        &test_file("test('x')", &[]),
        1,
        &["test(name, [meta,] fn): bad arguments"],
    );
}

#[test]
fn endless_loop_fails_its_test_and_the_next_one_runs() {
    let output = test_file(
        "test('loops', function(t) while true do end end)
         test('own limit', {timeout = '200ms'}, function(t) while true do end end)
         test('swallows', function(t) while true do pcall(function() while true do end end) end end)
         test('next', {timeout = '50s'}, function(t) end)",
        &["--timeout", "0.5"],
    );
    let texts = [
        "a.test.lua:1: the test's time is up",
        "FAIL  a.test.lua: swallows",
        "FAIL  a.test.lua: own limit",
        "PASS  a.test.lua: next",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn dead_process_fails_its_test_and_the_rest_of_its_file_is_not_run() {
    let output = test_file(
        "test('first', function(t) end)
         test('dies', function(t) os.execute('kill -9 $PPID') end)
         test('last', function(t) end)",
        &[],
    );
    let texts = [
        "PASS  a.test.lua: first",
        "the test's process ended by signal 9",
        "NOT RUN the file's process ended by signal 9 in an earlier test\n      a.test.lua: last\n",
        "1 passed, 1 failed, 0 skipped, 1 not run",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn output_of_a_failing_file_is_shown() {
    let output = test_file(
        "test('x', function(t) print('look here') error('oh') end)",
        &[],
    );
    assert_report(&output, 1, &["a.test.lua printed:", "look here"]);
    let output = test_file("test('x', function(t) print('look here') end)", &[]);
    assert!(
        !stdout(&output).contains("look here"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn lua_standard_library_is_complete() {
    page_says(
        "docs/lua-reference.md",
        "Lua 5.4 and its full standard library",
    );
    let lua = "test('libs', function(t)
        for _, name in ipairs{'string', 'table', 'math', 'io', 'os', 'debug', 'coroutine', 'utf8', 'package'} do
          t:assert(_G[name], name)
        end
        t:assert_eq(_VERSION, 'Lua 5.4')
      end)";
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn exit_code_is_4_without_test_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display().to_string();
    assert_report(&provium(&["test", &path]), 4, &["no tests", &path]);
    assert_report(
        &provium(&["test", "/no/such.test.lua"]),
        2,
        &["/no/such.test.lua does not exist"],
    );
    let texts = ["0 passed", "provium: no tests: the files declare none"];
    assert_report(&test_file("", &[]), 4, &texts);
}

#[test]
fn configuration_mistakes_are_named() {
    page_says(
        "docs/testing.md",
        "An unknown key or profile is an error that names the known ones",
    );
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "a.test.lua",
        "test('x', function(t) provium:vm('v', 'won') end)",
    );
    write("provium.toml", "[profiles.own]\n");
    let test = || {
        run(Command::new(PROVIUM)
            .args(["test", "a.test.lua"])
            .current_dir(folder.path()))
    };
    assert_report(
        &test(),
        1,
        &["provium:vm: unknown profile `won` (known: own, default, storage)"],
    );
    write("provium.toml", "[profiles.own]\nmemroy = '1G'\n");
    assert_report(&test(), 2, &["provium.toml", "memroy", "memory"]);
}

#[test]
fn host_without_qemu_or_guest_is_told_what_to_do() {
    let folder = TempDir::new().unwrap();
    let lua = "test('x', function(t) provium:vm('v', 'default'):boot() end)";
    std::fs::write(folder.path().join("a.test.lua"), lua).unwrap();
    let test = |name: &str, value: &std::path::Path| {
        let mut test = Command::new(PROVIUM);
        run(test
            .args(["test", "a.test.lua"])
            .current_dir(folder.path())
            .env(name, value))
    };
    let no_guest = test("XDG_CACHE_HOME", folder.path());
    assert_report(
        &no_guest,
        1,
        &["the default guest is not built: run `provium guest build`"],
    );
    if crate::run_folder::has_guest() {
        let no_qemu = test("PATH", folder.path());
        assert_report(
            &no_qemu,
            1,
            &["need QEMU, which is not installed", "`provium doctor` says"],
        );
    }
}

#[test]
fn wait_until_returns_what_it_waited_for_or_says_what_it_did_not_get() {
    let lua = "test('waits', function(t)
        local n = 0
        t:assert_eq(wait_until(function() n = n + 1 return n == 3 and 'three' end, {interval = 0.01}), 'three')
        local err = t:assert_raises(function()
          wait_until(function() end, {timeout = '50ms', interval = '10ms', desc = 'rain'})
        end)
        t:assert_contains(err, 'wait_until: rain not met within 0.05s')
        t:assert_contains(t:assert_raises(function() wait_until(function() error('own') end) end), 'own')
        t:assert_contains(t:assert_raises(function() wait_until(print, {timeout = -1}) end), 'wait_until: ')
      end)";
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn json_keeps_integers_exact_and_names_what_does_not_parse() {
    page_says(
        "docs/lua-reference.md",
        "for malformed text, with line and column",
    );
    let lua = r#"test('json', function(t)
        local big = 9007199254740993
        t:assert_eq(json.decode(json.encode({n = big})).n, big)
        t:assert_eq(json.decode('[1, 2.5, "x", true]')[3], 'x')
        t:assert_eq(math.type(json.decode('1')), 'integer')
        t:assert_eq(json.decode('null'), nil)
        t:assert_eq(json.encode({1, 2, 'drei'}), '[1,2,"drei"]')
        t:assert_contains(t:assert_raises(function() json.decode('{"a":') end), 'json.decode: EOF')
      end)"#;
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn json_encodes_a_table_without_items_as_an_object_unless_it_was_decoded_as_an_array() {
    let lua = r#"test('json', function(t)
        t:assert_eq(json.encode({}), '{}')
        t:assert_eq(json.encode(json.decode('{"a":[],"b":{},"c":[[]]}')), '{"a":[],"b":{},"c":[[]]}')
        local list = json.decode('[]')
        list[1] = 'x'
        t:assert_eq(json.encode(list), '["x"]')
        t:assert_eq(json.encode({'x', n = 1}), '{"1":"x","n":1}')
        t:assert_eq(json.encode({json.null, 1.5, -0x7fffffffffffffff - 1}), '[null,1.5,-9223372036854775808]')
      end)"#;
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn json_encode_refuses_what_json_lacks_and_names_the_place() {
    page_says(
        "docs/lua-reference.md",
        "a function, NaN, infinity, a string that is not UTF-8, a table that contains itself",
    );
    let lua = r#"
      local cases = {
        {print, 'JSON has no function'},
        {0/0, 'JSON has no NaN'},
        {1/0, 'JSON has no inf'},
        {'\255', 'a text in JSON is UTF-8, and byte 1 of this string is not'},
        {{bin = 'a\255b'}, 'at .bin: a text in JSON is UTF-8, and byte 2 of this string is not'},
        {{a = {1, {b = -1/0}}}, 'at .a[2].b: JSON has no -inf'},
        {{[true] = 1}, 'a key is a string or an integer, not true'},
      }
      test('json', function(t)
        for _, case in ipairs(cases) do
          local err = t:assert_raises(function() json.encode(case[1]) end)
          t:assert_eq(err:match('json.encode: .*'), 'json.encode: ' .. case[2])
        end
        local loop = {}
        loop.self = loop
        local err = t:assert_raises(function() json.encode(loop) end)
        t:assert_contains(err, 'json.encode: the table at .self.self.self.self.self... contains itself')
      end)"#;
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn todo_leaves_out_the_files_tests() {
    page_says("docs/lua-reference.md", "skips all tests of the file");
    let lua = "todo('later') test('x', function(t) error('never') end)";
    assert_report(&test_file(lua, &[]), 0, &["SKIP  a.test.lua: x: later"]);
}

#[test]
fn assert_contains_refuses_values_without_text() {
    let lua = "test('x', function(t) t:assert_contains({}, '0x') end)";
    let text = "a.test.lua:1: t:assert_contains: argument 1 (haystack): expected string or number, got a table";
    assert_report(&test_file(lua, &[]), 1, &[text]);
}

#[test]
fn path_alone_is_run_as_provium_test_runs_it() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("a.test.lua"),
        "test('x', function(t) end)",
    )
    .unwrap();
    let of = |args: &[&str]| run(Command::new(PROVIUM).args(args).current_dir(folder.path()));
    assert_report(&of(&["a.test.lua", "-j", "1"]), 0, &["1 passed"]);
    assert_report(&of(&["."]), 0, &["1 passed"]);
    assert_report(&of(&["no.test.lua"]), 2, &["no.test.lua does not exist"]);
    assert_report(&of(&["no-such-command"]), 2, &["unrecognized subcommand"]);
}

#[test]
fn file_sets_a_time_limit_for_its_tests_and_a_test_its_own() {
    page_says(
        "docs/lua-reference.md",
        "the time limit of each of its tests, in place of `--timeout`. Set it outside of tests; `timeout` in a test's meta overrides it",
    );
    let output = test_file(
        "provium.timeout = '50ms'
         test('short', function(t) while true do end end)
         test('longer', {timeout = 5}, function(t) os.execute('sleep 0.1') end)",
        &[],
    );
    let texts = [
        "a.test.lua:2: the test's time is up",
        "PASS  a.test.lua: longer",
    ];
    assert_report(&output, 1, &texts);
    for (lua, text) in [
        ("provium.timeout = -1", "provium.timeout: expected duration"),
        (
            "provium.timeout = 'x'",
            "provium.timeout: expected duration",
        ),
        (
            "provium.timout = 1",
            "provium: `timout` cannot be set (known: reset_between_tests, timeout)",
        ),
        (
            "provium.reset_between_tests = 1",
            "provium.reset_between_tests: expected true or false, got 1",
        ),
    ] {
        let output = test_file(&format!("\n{lua}\ntest('x', print)"), &[]);
        assert_report(&output, 1, &[&format!("a.test.lua:2: {text}")]);
    }
    assert_report(
        &test_file("provium.timeout = nil test('x', print)", &[]),
        0,
        &["1 passed"],
    );
}

#[test]
fn json_null_is_nil_and_a_hole_in_an_array_is_null_again() {
    let lua = r#"test('json', function(t)
        local value = json.decode('{"a":null,"list":[null,1,null,null,2]}')
        t:assert_eq(value.a, nil)
        t:assert_eq(value.list[1], nil)
        t:assert_eq(value.list[5], 2)
        t:assert_eq(json.encode(value), '{"list":[null,1,null,null,2]}')
        t:assert_eq(json.encode(json.decode('[[null],[]]')), '[[],[]]')
        value.list.x = 1
        t:assert_contains(json.encode(value), '"x":1')
        t:assert_eq(json.encode({json.null, a = json.null}), '{"1":null,"a":null}')
        t:assert_contains(t:assert_raises(function() json.decode('"\xff"') end), 'json.decode: invalid unicode')
      end)"#;
    assert_report(&test_file(lua, &[]), 0, &["1 passed"]);
}

#[test]
fn assert_raises_forgives_what_fails_inside_it_and_nothing_before() {
    let output = test_file(
        "test('expected', function(t) t:assert_raises(function() t:fail('on purpose') end) end)
         test('none', function(t) t:assert_raises(function() end, 'msg') end)
         test('before', function(t)
           pcall(t.fail, t, 'before')
           t:assert_raises(function() t:fail('on purpose') end)
         end)",
        &[],
    );
    let texts = [
        "PASS  a.test.lua: expected",
        "a.test.lua:2: msg: expected to raise",
        "a.test.lua:4: before (the error was caught",
        "1 passed, 2 failed",
    ];
    assert_report(&output, 1, &texts);
}

#[test]
fn test_options_that_are_wrong_are_named() {
    let output = Suite::new(&[]).test(&["--fail-fast", "--max-fail", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let wrong = [
        ("timeout = 'soon'", "`timeout` expects a duration ("),
        (
            "timeout = -1",
            "or a text such as \"50ms\", \"5s\", \"2m\"), not -1",
        ),
        ("slow = 'no'", "`slow` expects true or false, not \"no\""),
        ("skip = 7", "`skip` expects true or a reason, not 7"),
        (
            "tags = {7}",
            "`tags` expects a list of names, or one name, not a table",
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
