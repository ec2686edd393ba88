//! `provium run`: a command with disks of its own, and what becomes of its mount however it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::docs::{help_says, page_says};
use crate::harness::*;
use crate::terminal::Terminal;

/// A folder with an image, and with the run-time folder of the runs in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        new_image(&place.0.path().join("a.img"), MIB);
        std::fs::create_dir(place.0.path().join("runtime")).unwrap();
        place
    }

    /// `provium run --disk vda=a.img WORDS`.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROVIUM);
        command.args(["run", "--disk", "vda=a.img"]).args(words);
        command.current_dir(self.0.path());
        command.env("XDG_RUNTIME_DIR", self.0.path().join("runtime"));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        run(&mut self.command(words))
    }

    /// The folder with what is there for as long as a process lives.
    fn runtime(&self) -> PathBuf {
        self.0.path().join("runtime/provium")
    }

    /// What runs have left behind: folders, mounts, locks.
    fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.runtime()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.is_dir() || is_mounted(path))
            .collect()
    }

    fn must_be_clean(&self) {
        eventually("nothing is left behind", || self.leftovers().is_empty());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let runtime = self.0.path().join("runtime").display().to_string();
        assert!(!mounts.contains(&runtime), "{mounts}");
    }
}

/// A run that has begun: its command has printed a line.
fn started(place: &Place, words: &[&str]) -> (Child, String, BufReader<std::process::ChildStdout>) {
    let mut child = place
        .command(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned(), lines)
}

/// The mount server of a run.
fn server_of(run: &Child) -> u32 {
    let id = run.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let is_server = |pid: &&str| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        line.contains("--foreground")
    };
    children
        .split_whitespace()
        .find(is_server)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn command_finds_its_disks_and_meets_their_faults() {
    let place = Place::new();
    new_image(&place.0.path().join("b.img"), MIB);
    let script = "echo {vda} $PROVIUM_MNT $PROVIUM_DISK_VDA $PROVIUM_DISK_LOG_1 {}; cat $PROVIUM_MNT/ctl/log-1/faults; \
                  dd if={vda} of=/dev/null bs=512 skip=8 count=1 status=none iflag=direct";
    let words = [
        "--disk",
        "log-1=b.img,ro",
        "--fault",
        "vda",
        "error op=read at=8+1",
        "--fault",
        "log-1",
        "slow",
    ];
    let output = place.run(&[&words[..], &["--", "sh", "-c", script]].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    let (paths, faults) = said.split_once('\n').unwrap();
    let paths: Vec<_> = paths.split(' ').collect();
    let mount = paths[1];
    assert!(
        mount.starts_with(
            &place
                .0
                .path()
                .join("runtime/provium/run-")
                .display()
                .to_string()
        ),
        "{mount}"
    );
    let [vda, log] = ["vda", "log-1"].map(|id| format!("{mount}/{id}"));
    assert_eq!(paths, [&vda, mount, &vda, &log, "{}"]);
    assert_eq!(faults, "slow\n");
    assert!(
        stderr(&output).contains("Input/output error"),
        "{}",
        stderr(&output)
    );
    place.must_be_clean();
    let without = place.run(&["--", "dd", "if={vda}", "of=/dev/null", "status=none"]);
    assert_ok(&without);
}

#[test]
fn command_has_its_own_input_and_output_and_hands_its_exit_code_on() {
    let place = Place::new();
    let mut cat = place.command(&["--", "cat"]);
    let mut cat = cat
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    cat.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    let output = cat.wait_with_output().unwrap();
    assert_eq!(
        (stdout(&output), stderr(&output)),
        ("typed\n".into(), String::new())
    );
    page_says("docs/running-tests.md", "| 125 |");
    help_says(
        "run",
        "128 and the number of the signal that ended it; 125 if provium itself failed",
    );
    for (words, code) in [
        (&["--", "true"][..], 0),
        (&["--", "sh", "-c", "exit 77"], 77),
        (&["sh", "-c", "kill -TERM $$"], 128 + libc::SIGTERM),
        (&["--", "sh", "-c", "kill -KILL $$"], 128 + libc::SIGKILL),
        (&["--", "/no/such/command"], 127),
        (&["--", "/etc/passwd"], 126),
        (&["--disk", "vdb=none.img", "--", "true"], 125),
        (
            &["--disk", "a.b=a.img", "--disk", "a-b=a.img", "--", "true"],
            2,
        ),
        (&["--fault", "vdb", "slow", "--", "true"], 2),
        (&["--fault", "vda", "slwo", "--", "true"], 2),
        (&[], 2),
    ] {
        let output = place.run(words);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words:?}: {}",
            stderr(&output)
        );
    }
    place.must_be_clean();
}

#[test]
fn what_was_written_is_in_the_image_when_the_run_is_over() {
    let place = Place::new();
    let words = [
        "--",
        "sh",
        "-c",
        "printf data | dd of={vda} conv=notrunc status=none",
    ];
    assert_ok(&place.run(&words));
    let image = std::fs::read(place.0.path().join("a.img")).unwrap();
    assert_eq!((&image[..4], image.len() as u64), (&b"data"[..], MIB));
}

#[test]
fn signals_reach_the_command_and_its_answer_counts() {
    let place = Place::new();
    let script = "trap 'echo told; exit 5' TERM; trap 'echo user' USR1; echo up; while :; do sleep 0.05; done";
    let (mut child, up, mut lines) = started(&place, &["--", "sh", "-c", script]);
    assert_eq!(up, "up");
    send(child.id(), libc::SIGUSR1);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "user\n");
    send(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    place.must_be_clean();
}

#[test]
fn ctrl_c_ends_the_command_once_and_then_the_mount() {
    if !has("tmux") {
        return;
    }
    let place = Place::new();
    let script = "trap 'echo caught; n=$((n+1))' INT; echo up; while [ -z \"$n\" ]; do sleep 0.05; done; sleep 0.3; echo n=$n";
    let runtime = place.0.path().join("runtime");
    let line = format!(
        "cd {}; XDG_RUNTIME_DIR={} {PROVIUM} run --disk vda=a.img -- bash -c '{}'; echo over=$?; sleep 60",
        place.0.path().display(),
        runtime.display(),
        script.replace('\'', "'\\''")
    );
    let terminal = Terminal::start(place.0.path(), 100, 20, &line);
    terminal.until("up");
    terminal.press("C-c");
    let shown = terminal.until("over=0");
    assert!(shown.contains("n=1"), "{shown}");
    place.must_be_clean();
}

#[test]
fn killed_run_leaves_no_mount_and_no_command() {
    let place = Place::new();
    let (mut child, pid, _lines) = started(&place, &["--", "sh", "-c", "echo $$; exec sleep 60"]);
    let pid: u32 = pid.parse().unwrap();
    assert_eq!(place.leftovers().len(), 1, "it is mounted");
    child.kill().unwrap();
    child.wait().unwrap();
    place.must_be_clean();
    eventually("its command has ended", || {
        !provium::os::process::Process::is_running(pid)
    });
}

#[test]
fn run_that_was_killed_with_its_server_is_cleaned_up_by_the_next() {
    let place = Place::new();
    let (mut child, mount, _lines) = started(
        &place,
        &["--", "sh", "-c", "echo $PROVIUM_MNT; exec sleep 60"],
    );
    assert!(is_mounted(Path::new(&mount)));
    send(server_of(&child), libc::SIGKILL);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.leftovers().len(), 1);
    assert_ok(&place.run(&["--", "true"]));
    place.must_be_clean();
}

#[test]
fn run_of_which_a_thread_is_still_ending_is_cleaned_up_by_the_next() {
    let place = Place::new();
    assert_ok(&place.run(&["--", "true"]));
    place.must_be_clean();
    let mut child = ending_owner(&place.runtime(), "run");
    assert_eq!(place.leftovers().len(), 1);
    assert_ok(&place.run(&["--", "true"]));
    place.must_be_clean();
    child.wait().unwrap();
}

#[test]
fn what_the_command_leaves_behind_is_named_and_loses_its_disk() {
    let place = Place::new();
    let script = "exec 3< {vda}; sleep 60 > /dev/null 2>&1 & echo $!";
    let output = place.run(&["--", "sh", "-c", script]);
    assert_ok(&output);
    assert!(
        stderr(&output).contains("left behind what still uses its disks"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("sleep (process"),
        "{}",
        stderr(&output)
    );
    send(stdout(&output).trim().parse().unwrap(), libc::SIGKILL);
    place.must_be_clean();
}

#[test]
fn held_request_does_not_keep_a_run_from_its_end() {
    let place = Place::new();
    let words = [
        "--fault",
        "vda",
        "hang op=read",
        "--",
        "sh",
        "-c",
        "dd if={vda} of=/dev/null count=1 & until grep -q read \"$PROVIUM_MNT\"/ctl/vda/inflight; do sleep 0.05; done",
    ];
    let mut child = place
        .command(&words)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("left behind"), "{said}");
    place.must_be_clean();
}
