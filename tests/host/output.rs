//! `-q`, `-v` and `--color`, which every command takes, and a run on a host that lacks something.

use std::path::Path;
use std::process::{Command, Output};

use crate::docs::page_says;
use crate::harness::*;

const PAGE: &str = "docs/running-tests.md";

fn in_folder(folder: &Path, args: &[&str]) -> Output {
    run(Command::new(PROVIUM)
        .args(args)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE"))
}

/// A folder with a test that passes, and one that fails.
fn tests() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.test.lua", "test('passes', function() end)");
    write("bad.test.lua", "test('fails', function() error('why') end)");
    folder
}

#[test]
fn quiet_run_prints_failures_alone() {
    page_says(PAGE, "prints only errors, and what was asked for");
    let folder = tests();
    let good = in_folder(folder.path(), &["-q", "test", "good.test.lua"]);
    assert_ok(&good);
    assert_eq!(stdout(&good) + &stderr(&good), "");
    let both = in_folder(folder.path(), &["test", "--quiet", "."]);
    assert_eq!(both.status.code(), Some(1));
    let text = stdout(&both);
    assert!(text.contains("fails") && text.contains("why"), "{text}");
    assert!(!text.contains("passes"), "{text}");
    assert!(text.contains("1 failed"), "{text}");
    let list = in_folder(folder.path(), &["-q", "test", "--list", "."]);
    assert!(stdout(&list).contains("passes"), "it was asked for");
}

#[test]
fn quiet_commands_say_nothing_that_was_not_asked_for() {
    let folder = TempDir::new().unwrap();
    let quiet = |args: &[&str]| {
        let output = in_folder(folder.path(), &[&["-q"], args].concat());
        assert_ok(&output);
        stdout(&output) + &stderr(&output)
    };
    std::fs::write(folder.path().join("q.img"), b"QFI\xfb and more").unwrap();
    assert_eq!(quiet(&["init", "project"]), "");
    std::fs::create_dir(folder.path().join("mnt")).unwrap();
    assert_eq!(
        quiet(&["mount", "mnt", "--disk", "vda=q.img"]),
        "",
        "a warning"
    );
    assert!(
        quiet(&["status", "mnt"]).contains("vda"),
        "it was asked for"
    );
    assert_eq!(quiet(&["umount", "mnt"]), "");
    let wrong = in_folder(folder.path(), &["-q", "umount", "mnt"]);
    assert_fails(&wrong, 1, &["is not a provium mount"]);
}

#[test]
fn verbose_commands_say_on_standard_error_what_they_use() {
    page_says(PAGE, "which configuration, cache, mount and server");
    let folder = tests();
    for name in ["a.img", "b.img"] {
        new_image(&folder.path().join(name), MIB);
    }
    std::fs::create_dir(folder.path().join("mnt")).unwrap();
    let verbose = |args: &[&str], texts: &[&str]| {
        let output = in_folder(folder.path(), &[args, &["-v"]].concat());
        assert_ok(&output);
        let said = stderr(&output);
        for text in texts {
            assert!(said.contains(text), "{text:?} is not in: {said}");
        }
    };
    verbose(
        &["mount", "mnt", "--disk", "vda=a.img"],
        &["mount point: /", "disk: vda=/", "the server, process "],
    );
    verbose(&["attach", "mnt", "vdb", "b.img", "--ro"], &["attached /"]);
    verbose(&["detach", "mnt", "vdb"], &["detached mnt/vdb"]);
    verbose(
        &["umount", "mnt"],
        &["is served by process ", "unmounted; "],
    );
    verbose(
        &["good.test.lua"],
        &["configuration: none", "cache: /", "test files: 1,"],
    );
    std::fs::write(folder.path().join("provium.toml"), "").unwrap();
    verbose(
        &["test", "good.test.lua"],
        &["configuration: ", "/provium.toml"],
    );
    assert_fails(
        &in_folder(folder.path(), &["-q", "-v", "status"]),
        2,
        &["cannot be used with"],
    );
}

#[test]
fn colours_are_used_when_they_are_asked_for() {
    page_says(PAGE, "`NO_COLOR`");
    let folder = tests();
    let coloured = |args: &[&str], variable: Option<&str>| {
        let mut command = Command::new(PROVIUM);
        command.args(args).current_dir(folder.path());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        let output = run(command.envs(variable.map(|name| (name, "1"))));
        (stdout(&output) + &stderr(&output)).contains("\x1b[")
    };
    for args in [
        &["test", "."][..],
        &["doctor"],
        &["umount", "none"],
        &["nonsense"],
    ] {
        let with = |option: &'static str| [&[option][..], args].concat();
        assert!(!coloured(args, None), "{args:?}: no terminal");
        assert!(coloured(args, Some("CLICOLOR_FORCE")), "{args:?}");
        assert!(
            coloured(&with("--color=always"), Some("NO_COLOR")),
            "{args:?}"
        );
        assert!(
            !coloured(&with("--color=never"), Some("CLICOLOR_FORCE")),
            "{args:?}"
        );
    }
}

#[test]
fn run_without_what_its_tests_need_says_it_once() {
    page_says(PAGE, "A run that needs `/dev/fuse`, `fusermount3` or QEMU");
    let folder = tests();
    let vm = "for n = 1, 3 do test('t' .. n, function() provium:vm('v', 'default'):boot() end) end";
    std::fs::write(folder.path().join("vm.test.lua"), vm).unwrap();
    let without_qemu = |file: &str| {
        let mut command = Command::new(PROVIUM);
        command.args(["test", file]).current_dir(folder.path());
        run(command.env("PATH", "/nowhere"))
    };
    let output = without_qemu("vm.test.lua");
    assert_fails(&output, 1, &["no test was run: the tests need QEMU"]);
    assert_eq!(stderr(&output).lines().count(), 1);
    assert_eq!(stdout(&output), "");
    assert_ok(&without_qemu("good.test.lua"));
    if provium::os::sys::uid() == 0 && can_isolate() {
        let script =
            "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; \"$0\" test vm.test.lua";
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", "-c", script, PROVIUM]);
        let output = run(unshare.current_dir(folder.path()));
        assert_fails(&output, 1, &["need /dev/fuse, which cannot be opened"]);
    }
}
