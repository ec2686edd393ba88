//! `provium status` and `provium top`: what they show, and what ends them.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::docs::page_says;
use crate::harness::*;
use crate::terminal::Terminal;

#[test]
fn status_says_whether_a_qemus_guest_sees_errors() {
    if !has("qemu-system-x86_64") {
        return;
    }
    let mount = Mount::new();
    let status = |drive: &str| {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-S", "-nodefaults", "-display", "none", "-drive"]);
        qemu.arg(format!(
            "file={},format=raw,if=virtio,cache=none,{drive}",
            mount.vda().display()
        ));
        let mut qemu = qemu.stdin(Stdio::null()).spawn().unwrap();
        eventually("QEMU has the disk open", || mount.stat("open_files") > 0);
        let shown = stdout(&provium(&["status", &mount.point().display().to_string()]));
        qemu.kill().unwrap();
        qemu.wait().unwrap();
        eventually("QEMU is gone", || mount.stat("open_files") == 0);
        shown
    };
    assert!(status("werror=report,rerror=report").contains("its guest sees every error"));
    let swallowed = status("werror=report,rerror=ignore");
    assert!(
        swallowed.contains("the guest is told that all is well (rerror=ignore): set rerror=report")
    );
}

#[test]
fn status_says_that_it_cannot_tell_for_a_hot_plugged_disk() {
    page_says(
        "docs/faults.md",
        "so `provium status` says that it cannot tell",
    );
    if !has("qemu-system-x86_64") {
        return;
    }
    let mount = Mount::new();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-S", "-nodefaults", "-display", "none", "-qmp", "stdio"]);
    let mut qemu = qemu
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let node = serde_json::json!({
        "execute": "blockdev-add",
        "arguments": {
            "driver": "raw",
            "node-name": "vda",
            "file": { "driver": "file", "filename": mount.vda() },
        },
    });
    let mut commands = qemu.stdin.take().unwrap();
    writeln!(commands, "{{\"execute\": \"qmp_capabilities\"}} {node}").unwrap();
    eventually("QEMU has the disk open", || mount.stat("open_files") > 0);
    let point = mount.point().display().to_string();
    let shown = stdout(&provium(&["status", &point]));
    let json = stdout(&provium(&["status", &point, "--json"]));
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    assert!(
        shown.contains("whether its guest sees errors is not known from outside"),
        "{shown}"
    );
    assert!(json.contains("\"visible\": null"), "{json}");
}

#[test]
fn top_is_a_table_in_a_pipe_and_on_a_terminal_of_80_columns_ends_at_q() {
    let mount = Mount::new();
    mount.arm("eio_read at=1+1,2+1,3+1,4+1,5+1,6+1,7+1,8+1 tag=a-rule-with-a-long-name");
    let point = mount.point().display().to_string();
    let once = provium(&["top", &point, "--interval", "10ms", "--count", "2"]);
    assert_ok(&once);
    assert_eq!(stdout(&once).matches("DISK  READ/s").count(), 2);
    assert_fails(
        &provium(&["top", &point, "--interval", "0"]),
        2,
        &["--interval 0 is not a time between two looks"],
    );
    if !has("tmux") {
        return;
    }
    let command = format!("{PROVIUM} top {point} --interval 50ms; echo over; sleep 60");
    let terminal = Terminal::start(mount.folder(), 80, 10, &command);
    // The last of what it draws at once.
    let shown = terminal.until("…");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    assert!(
        shown.contains("eio_read at=1+1") && shown.contains("…"),
        "{shown}"
    );
    terminal.press("x");
    terminal.press("q");
    assert!(!terminal.until("over").contains("READ/s"));
}

#[test]
fn full_standard_output_is_an_error_in_a_sentence() {
    let mount = Mount::new();
    let script = format!("{PROVIUM} status {} > /dev/full", mount.point().display());
    let output = shell("bash", &mount, &script);
    assert_fails(
        &output,
        1,
        &["provium: cannot write to standard output: No space left"],
    );
    assert_eq!(stderr(&output).lines().count(), 1);
}

#[test]
fn closed_pipe_ends_printing_commands_silently() {
    let mount = Mount::new();
    let point = mount.point();
    for command in ["status", "top --interval 10ms"] {
        let script = format!("{PROVIUM} {command} {} | true", point.display());
        let started = Instant::now();
        let output = shell("bash", &mount, &script);
        assert_eq!(stderr(&output), "", "{command}");
        assert!(started.elapsed() < PATIENCE);
    }
}
