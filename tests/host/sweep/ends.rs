//! The end of a sweep, in whatever way it comes: the disk is what it was, and nothing runs on.

use std::process::Child;
use std::time::{Duration, Instant};

use super::*;
use crate::docs::page_says;
use provium::os::process::Process;

/// Writes, tells that it runs, and does not end. Its second process would outlive a careless sweep.
const ENDLESS: &str = "sh save 2>> log; test $PROVIUM_K = 0 || { sleep 300 & echo $! > sleeper; echo $PROVIUM_K > k; wait; }";

/// A sweep in the middle of its first run with a fault.
fn endless(scene: &Scene, args: &[&str]) -> Child {
    let sweep = [
        "--op",
        "write",
        "--fault",
        "error errno=EIO",
        "--run",
        ENDLESS,
    ];
    let child = scene.command(&[&sweep[..], args].concat()).spawn().unwrap();
    eventually("the command runs", || scene.read("k") == "1\n");
    child
}

fn sleeper(scene: &Scene) -> u32 {
    scene.read("sleeper").trim().parse().unwrap()
}

fn assert_left_nothing(scene: &Scene, before: &[u8]) {
    let sleeper = sleeper(scene);
    eventually("the command is killed", || !Process::is_running(sleeper));
    eventually("the rule is disarmed", || {
        scene.mount.read("vda/faults").is_empty()
    });
    eventually("the checkpoint is gone", || {
        scene.mount.read("vda/checkpoint").is_empty()
    });
    assert!(before == std::fs::read(scene.vda()).unwrap());
}

#[test]
fn signal_ends_a_sweep_in_order() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let scene = Scene::new();
        let before = std::fs::read(scene.vda()).unwrap();
        let mut child = endless(&scene, &[]);
        send(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert_eq!(scene.mount.read("vda/faults"), "");
        assert_left_nothing(&scene, &before);
    }
    page_says("docs/sweeping.md", "Ctrl-C ends a sweep in order");
}

#[test]
fn killed_sweep_leaves_the_disk_as_it_was_and_no_process() {
    let scene = Scene::new();
    let before = std::fs::read(scene.vda()).unwrap();
    let mut child = endless(&scene, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    assert_left_nothing(&scene, &before);
    assert!(killed.elapsed() < Duration::from_secs(60));
    page_says(
        "docs/sweeping.md",
        "The same happens when `provium sweep` is killed with SIGKILL",
    );
}

#[test]
fn command_that_hangs_is_killed_at_its_time_out_with_all_that_it_started() {
    let sweep = [
        "--op", "write", "--fault", "error", "--run", ENDLESS, "--max", "1",
    ];
    // The run without a fault and the start of the others are to come within the time.
    let (scene, limit) = in_ample_time(|seconds| {
        let (scene, limit) = (Scene::new(), format!("{seconds}s"));
        let output = scene.sweep(&[&sweep[..], &["--timeout", &limit]].concat());
        if scene.read("k").is_empty() {
            return None;
        }
        let text = stdout(&output);
        let said = format!(
            "FAIL  no answer within {:?}",
            Duration::from_secs_f64(seconds)
        );
        assert!(text.contains(&said), "{text}");
        Some((scene, limit))
    });
    let sleeper = sleeper(&scene);
    eventually("its processes are killed", || !Process::is_running(sleeper));
    // A check does not excuse that.
    let output = scene.sweep(&[&sweep[..], &["--timeout", &limit, "--check", "true"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    scene.assert_clean();
}

#[test]
fn server_that_dies_ends_a_sweep() {
    let scene = Scene::new();
    let mut child = endless(&scene, &["--timeout", "2s"]);
    let mut mount = scene.mount;
    mount.kill_server();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn two_sweeps_of_one_disk_do_not_mix() {
    let scene = Scene::new();
    let before = std::fs::read(scene.vda()).unwrap();
    let mut child = endless(&scene, &[]);
    let output = scene.sweep(&["--op", "write", "--fault", "error", "--run", "sh save; :"]);
    assert_fails(
        &output,
        1,
        &["has the checkpoint `provium-sweep`: another sweep goes on"],
    );
    assert!(scene.mount.read("vda/faults").contains("tag=provium-sweep"));
    send(child.id(), libc::SIGINT);
    child.wait().unwrap();
    assert_left_nothing(&scene, &before);
}

#[test]
fn rule_of_a_sweep_acts_no_longer_than_its_command_may_run() {
    let scene = Scene::new();
    let mut child = endless(&scene, &["--timeout", "40s"]);
    let rule = scene.mount.read("vda/faults");
    assert_eq!(
        rule,
        "error op=write errno=EIO times=1 for=45s tag=provium-sweep\n"
    );
    page_says(
        "docs/sweeping.md",
        "has `for=` too, the time of the command and 5 seconds more",
    );
    send(child.id(), libc::SIGINT);
    child.wait().unwrap();
}
