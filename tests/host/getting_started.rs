//! The first steps of a new user: a project, stubs for the editor, manuals, a prompt, a console.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};
use crate::run_folder::has_guest;
use crate::terminal::Terminal;

const STUBS: &str = include_str!("../../lua/meta/provium.lua");

fn can_run_guests() -> bool {
    has("qemu-system-x86_64") && has_guest()
}

fn init(folder: &Path) -> String {
    let output = run(Command::new(PROVIUM).arg("init").current_dir(folder));
    assert_ok(&output);
    stdout(&output)
}

#[test]
fn init_lays_down_a_project_and_overwrites_nothing() {
    page_says("docs/testing.md", "It never overwrites a file");
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("provium.toml"), "# mine\n").unwrap();
    let said = init(folder.path());
    assert!(said.contains("kept  ./provium.toml"), "{said}");
    assert!(said.contains("made  ./tests/first.test.lua"), "{said}");
    let config = std::fs::read_to_string(folder.path().join("provium.toml")).unwrap();
    assert_eq!(config, "# mine\n");
    let stubs = folder.path().join(".provium/meta/provium.lua");
    assert_eq!(std::fs::read_to_string(stubs).unwrap(), STUBS);
    let settings = std::fs::read_to_string(folder.path().join(".luarc.json")).unwrap();
    assert!(settings.contains(".provium/meta"));
}

#[test]
fn new_project_passes_its_first_test() {
    if !can_run_guests() {
        return;
    }
    let folder = TempDir::new().unwrap();
    init(folder.path());
    let output = run(Command::new(PROVIUM).arg("test").current_dir(folder.path()));
    assert_report(&output, 0, &["1 passed, 0 failed"]);
}

/// The functions that the stubs define, as `Class:method` and `global`.
fn stubs() -> BTreeSet<String> {
    let lines = STUBS
        .lines()
        .filter_map(|line| line.strip_prefix("function "));
    lines
        .map(|line| line.split('(').next().unwrap().to_owned())
        .collect()
}

/// Prints the bound functions in the form of the stubs.
const BOUND: &str = r#"
    local function methods(class, fields)
      for name, value in pairs(fields) do
        if type(value) == "function" and not name:match("^__") then print(class .. ":" .. name) end
      end
    end
    test("all", function(t)
      local registry = debug.getregistry()
      for _, class in ipairs{"Vm", "Disk", "Process", "Worker", "Console", "Clock", "State", "Snapshot"} do
        methods(class, registry[class:lower()])
      end
      methods("T", getmetatable(t).__index)
      methods("RunResult", registry.runresult)
      methods("provium", provium)
      for name, value in pairs(json) do
        if type(value) == "function" then print("json." .. name) end
      end
      for name, value in pairs(_G) do
        if type(value) == "function" and debug.getinfo(value).source:match("provium") then print(name) end
      end
      error("to see what was printed")
    end)"#;

#[test]
fn stubs_are_equal_to_what_is_bound() {
    let output = stdout(&Suite::new(&[("a", BOUND)]).test(&[]));
    let printed = output.split("a.test.lua printed:\n").nth(1).unwrap();
    let printed = printed
        .lines()
        .filter_map(|line| line.strip_prefix("      "));
    let bound: BTreeSet<_> = printed.map(str::to_owned).collect();
    assert_eq!(stubs(), bound);
}

#[test]
fn examples_use_only_names_that_the_stubs_define() {
    if !has("luacheck") {
        return;
    }
    let global = |name: String| name.split(['.', ':']).next().unwrap().to_owned();
    let globals: Vec<_> = stubs().into_iter().map(global).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = |folder: &Path| {
        let mut luacheck = Command::new("luacheck");
        luacheck.args(["--std", "lua54", "--only", "1", "--no-color", "--globals"]);
        run(luacheck.args(&globals).arg("--").arg(folder))
    };
    for folder in ["examples", "tests/guest", "lua/template"] {
        assert_ok(&check(&root.join(folder)));
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.lua"), "tset('x', function(t) end)").unwrap();
    let output = check(folder.path());
    assert!(stdout(&output).contains("undefined variable 'tset'"));
}

#[test]
fn commands_have_manual_pages() {
    let folder = TempDir::new().unwrap();
    assert_ok(&provium(&["man", &folder.path().display().to_string()]));
    for page in [
        "provium",
        "provium-mount",
        "provium-test",
        "provium-guest-build",
    ] {
        let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME"), "{text}");
    }
    assert!(!folder.path().join("provium-test-file.1").exists());
    let failed = provium(&["man", "/proc/x"]);
    assert_fails(&failed, 1, &["cannot write the man pages to /proc/x: "]);
}

/// Runs a command with these lines as its input.
fn feed(args: &[&str], input: &str) -> (String, String) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("input"), input).unwrap();
    let input = std::fs::File::open(folder.path().join("input")).unwrap();
    let mut command = Command::new(PROVIUM);
    let output = command
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::from(input))
        .output();
    let output = output.unwrap();
    assert_ok(&output);
    (stdout(&output), stderr(&output))
}

#[test]
fn repl_has_a_booted_vm_and_takes_statements_over_several_lines() {
    if !can_run_guests() {
        return;
    }
    let input = "1 + 1\nvm:run('echo from the guest').stdout\nfor i = 1, 2 do\nprint(i * 10)\nend\n\
                 vm:nope()\nx = {a = 1}\nx\n\
                 test('x', print)\n'\\27[2J\\xff'\n";
    let (out, err) = feed(&["repl"], input);
    let expected = ["2\nfrom the guest", "10\n20\n", "a = 1", r"\u{1b}[2J\xff"];
    for text in expected {
        assert!(out.contains(text), "{text}: {out}");
    }
    assert!(
        err.contains("attempt to call a nil value (method 'nope')"),
        "{err}"
    );
    let no_tests = "test: a prompt runs no tests: enter what the test does, without `t`";
    assert!(err.contains(no_tests), "{err}");
}

#[test]
fn repl_takes_lines_typed_ahead_and_ctrl_c_interrupts() {
    if !can_run_guests() || !has("tmux") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let command = format!("{PROVIUM} repl; echo code $?; sleep 600");
    let terminal = Terminal::start(folder.path(), 80, 60, &command);
    terminal.until("\n>");
    terminal.enter(&[
        "vm:run('sleep 0.5'):ok()",
        "for i = 1, 2 do",
        "print('line ' .. i * 10)",
        "end",
    ]);
    terminal.until("line 20");
    let endless = [
        "vm:run('sleep 600')",
        "while true do end",
        "vm:clock():sleep(600)",
    ];
    for (round, line) in endless.iter().enumerate() {
        terminal.enter(&[&format!("print({round} .. ' begins') {line}")]);
        terminal.until(&format!("{round} begins"));
        terminal.press("C-c");
        eventually("it is interrupted", || {
            terminal.shown().matches("interrupted").count() == round + 1
        });
        terminal.enter(&[&format!("vm:run('echo $((4{round} + 1000))').stdout")]);
        terminal.until(&format!("104{round}"));
    }
    terminal.press("C-d");
    terminal.until("code 0");
}

#[test]
fn repl_with_an_unknown_profile_is_a_usage_error() {
    for command in ["repl", "console"] {
        let output = provium(&[command, "nosuch"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            stderr(&output),
            "provium: unknown profile `nosuch` (known: default, storage)\n"
        );
    }
}

#[test]
fn console_sends_what_is_typed_and_shows_what_the_guest_prints() {
    if !can_run_guests() {
        return;
    }
    let (out, _) = feed(&["console", "default"], "echo $((40 + 2))x\n");
    assert!(out.contains("42x"), "{out}");
}
