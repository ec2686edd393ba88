//! Kills during a real guest's I/O: nothing may be left behind or stuck.
//!
//! Each needs QEMU and the default guest; `mnt-helpers/test` provides both.

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::docs::page_says;
use crate::harness::*;
use crate::run_folder::has_guest;

/// A test that boots a guest, keeps it reading its disk, and waits.
const BUSY: &str = "
    test('busy', {timeout = '2m'}, function(t)
      local vm = provium:vm('v', 'default'):boot()
      local disk = vm:attach_disk({id = 'vda', image = 'a.img'})
      disk:fault_inject('slow')
      vm:run_async('while :; do dd if=/dev/vda of=/dev/null bs=4096 count=64 iflag=direct; done')
      local ready = io.open('ready', 'w') ready:write(disk:path()) ready:close()
      while true do vm:clock():sleep('10ms') after_sleep() end
    end)";

/// A runner whose guest does I/O.
struct Busy {
    runner: Child,
    scene: Scene,
}

impl Busy {
    /// None if this machine cannot run guests. `after_sleep` is the body of a Lua function that the test calls
    /// again and again.
    fn start(after_sleep: &str) -> Option<Self> {
        if !has("qemu-system-x86_64") || !has_guest() {
            return None;
        }
        let scene = Scene::begin();
        scene.image("a.img", MIB);
        let lua = format!("function after_sleep() {after_sleep} end {BUSY}");
        std::fs::write(scene.path("busy.test.lua"), lua).unwrap();
        let runner = scene
            .command(PROVIUM)
            .args(["test", "busy.test.lua"])
            .stdout(std::fs::File::create(scene.path("report")).unwrap())
            .spawn()
            .unwrap();
        let busy = Self { runner, scene };
        let deadline = Instant::now() + 3 * PATIENCE;
        while busy.disk().is_none() {
            assert!(
                Instant::now() < deadline,
                "the guest did not get ready: {}",
                busy.report()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(busy)
    }

    fn report(&self) -> String {
        std::fs::read_to_string(self.scene.path("report")).unwrap()
    }

    /// The disk's file in the run's mount.
    fn disk(&self) -> Option<PathBuf> {
        let text = std::fs::read_to_string(self.scene.path("ready")).ok()?;
        (!text.is_empty()).then(|| text.into())
    }

    /// Kills the runner, the mount's server or QEMU, or several of them at once.
    fn kill(&self, victims: &[&str]) {
        let pids: Vec<_> = victims
            .iter()
            .map(|victim| match *victim {
                "runner" => self.runner.id(),
                "worker" => self.scene.process(" test-file "),
                "server" => self.scene.process(" mount "),
                _ => self.scene.process("qemu-system"),
            })
            .collect();
        self.scene.did(&format!(
            "killed {}, process {pids:?}, while the guest reads",
            victims.join(" and ")
        ));
        for pid in pids {
            send(pid, libc::SIGKILL);
        }
    }

    /// Tells the Lua function that it is done.
    fn tell_dead(&self) {
        std::fs::write(self.scene.path("dead"), "").unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.runner.wait().unwrap()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

#[test]
fn killed_runner_leaves_nothing() {
    page_says(
        "docs/ci.md",
        "The guests and mounts of a job that is cancelled or killed end with it",
    );
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    busy.kill(&["runner"]);
    busy.wait();
    busy.scene
        .found("its worker, QEMU and server ended by themselves");
}

#[test]
fn killed_run_of_which_a_thread_is_still_ending_leaves_nothing() {
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    let mut other = ending_owner(&busy.scene.path("run/provium"), "evidence");
    busy.kill(&["runner"]);
    busy.wait();
    other.wait().unwrap();
    busy.scene
        .found("its server removed the folder of the other run once its lock was free");
}

#[test]
fn killed_server_fails_the_guests_io_and_the_guest_goes_on() {
    let look = "if not armed and io.open('dead') then
        armed = true
        local vm = provium:vm('v')
        local r = vm:run('dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct; uptime')
        print('LOOK ' .. r.stderr .. r.stdout)
        error('seen')
      end";
    let Some(mut busy) = Busy::start(look) else {
        return;
    };
    busy.kill(&["server"]);
    busy.tell_dead();
    assert_eq!(busy.wait().code(), Some(1));
    let report = busy.report();
    assert!(
        report.contains("Input/output error") && report.contains("load average"),
        "{report}"
    );
    busy.scene
        .found("the guest's dd said `Input/output error`, and its uptime how long it is up");
}

#[test]
fn killed_qemu_fails_the_test_that_waits_for_it() {
    let look = "if io.open('dead') then provium:vm('v'):run('true') end";
    let Some(mut busy) = Busy::start(look) else {
        return;
    };
    busy.kill(&["qemu"]);
    busy.tell_dead();
    assert_eq!(busy.wait().code(), Some(1));
    let report = busy.report();
    let why = "vm:run: QEMU exited with signal: 9 (SIGKILL)";
    assert!(report.contains(why), "{report}");
    busy.scene.found(&format!("the test failed with `{why}`"));
}

#[test]
fn killed_qemu_and_server_fail_the_test_that_waits_for_them() {
    let look = "if io.open('dead') then provium:vm('v'):run('true') end";
    let Some(mut busy) = Busy::start(look) else {
        return;
    };
    busy.kill(&["server", "qemu"]);
    busy.tell_dead();
    assert_eq!(busy.wait().code(), Some(1));
    let report = busy.report();
    assert!(
        report.contains("vm:run: QEMU exited with signal: 9"),
        "{report}"
    );
    busy.scene
        .found("the test failed and said that QEMU was killed");
}

#[test]
fn killed_worker_fails_its_test_and_the_runner_cleans_up() {
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    busy.kill(&["worker"]);
    assert_eq!(busy.wait().code(), Some(1));
    let report = busy.report();
    let why = "the test's process ended by signal 9";
    assert!(report.contains(why), "{report}");
    busy.scene.found(&format!("the test failed with `{why}`"));
}

#[test]
fn interrupted_runner_leaves_nothing() {
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    busy.scene.did(&format!(
        "interrupted runner {} while the guest reads",
        busy.runner.id()
    ));
    send(busy.runner.id(), libc::SIGINT);
    busy.wait();
    busy.scene
        .found("its worker, QEMU and server ended with it");
}

#[test]
fn leftovers_of_a_kill_of_several_processes_go_with_the_next_run() {
    for victims in [
        &["runner", "server"][..],
        &["runner", "qemu"],
        &["runner", "worker"],
        &["runner", "worker", "server", "qemu"],
        &["server", "qemu", "runner"],
        &["worker", "server"],
    ] {
        let Some(mut busy) = Busy::start("") else {
            return;
        };
        busy.kill(victims);
        busy.wait();
        let is_gone = || busy.scene.processes().is_empty();
        eventually("no process is left", is_gone);
        let left = busy.scene.left();
        std::fs::write(
            busy.scene.path("next.test.lua"),
            "test('next', function(t) end)",
        )
        .unwrap();
        // A process that is not seen any more may hold its locks for a moment.
        eventually("the next run leaves nothing", || {
            assert_ok(&busy.scene.provium(&["test", "next.test.lua"]));
            busy.scene.left().is_empty()
        });
        busy.scene.found(&format!(
            "no process; {} things were left, none after the next run",
            left.len()
        ));
    }
}
