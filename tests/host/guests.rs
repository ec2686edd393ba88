//! Kills in the middle of a real guest's I/O: nothing may be left, nothing may be stuck.
//!
//! Each needs QEMU and the default guest; `mnt-helpers/test` provides both.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::*;

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

/// A folder for one run: its files, and in `run` its run-time files.
pub struct RunFolder(TempDir);

impl RunFolder {
    pub fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        std::fs::create_dir(folder.path("run")).unwrap();
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// `provium ARGS`, ready to run here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROVIUM);
        command
            .args(args)
            .current_dir(self.0.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .stdin(Stdio::null());
        command
    }

    /// QEMU and the mount servers of this run, which have its run-time folder in their environment.
    pub fn processes(&self) -> Vec<u32> {
        [self.called("qemu-system"), self.called(" mount ")].concat()
    }

    pub fn process(&self, word: &str) -> u32 {
        *self.called(word).first().unwrap()
    }

    /// Those whose command line has `word` in it.
    fn called(&self, word: &str) -> Vec<u32> {
        let ours = format!("XDG_RUNTIME_DIR={}\0", self.path("run").display());
        let read = |pid: u32, file: &str| {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        let is_it = |pid: &u32| {
            let line = read(*pid, "cmdline").replace('\0', " ");
            line.contains(word) && read(*pid, "environ").contains(&ours)
        };
        provium::proc::processes().filter(is_it).collect()
    }

    pub fn assert_nothing_left_within(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let marker = self.path("run").display().to_string();
        let folders = || std::fs::read_dir(self.path("run/provium")).unwrap().count();
        while !self.processes().is_empty() || mounts().contains(&marker) || folders() > 0 {
            let left = (self.processes(), mounts().contains(&marker), folders());
            assert!(
                Instant::now() < deadline,
                "left: processes, mount, folders: {left:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A runner with a guest in the middle of its I/O, in a run-time folder of its own.
struct Busy {
    folder: RunFolder,
    runner: Child,
}

impl Busy {
    /// None where this machine cannot run guests. `after_sleep` is the body of a Lua function that
    /// the test calls all the time.
    fn start(after_sleep: &str) -> Option<Self> {
        if !has("qemu-system-x86_64") || !has_guest() {
            return None;
        }
        let folder = RunFolder::new();
        new_image(&folder.path("a.img"), MIB);
        let lua = format!("function after_sleep() {after_sleep} end {BUSY}");
        folder.write("busy.test.lua", &lua);
        let runner = folder
            .command(&["test", "busy.test.lua"])
            .stdout(std::fs::File::create(folder.path("report")).unwrap())
            .spawn()
            .unwrap();
        let busy = Self { folder, runner };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !busy.path("ready").exists() || busy.disk_path().is_none() {
            assert!(
                Instant::now() < deadline,
                "the guest did not get ready: {}",
                busy.report()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(busy)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn report(&self) -> String {
        std::fs::read_to_string(self.path("report")).unwrap()
    }

    /// The disk's file in the run's mount.
    fn disk_path(&self) -> Option<PathBuf> {
        let text = std::fs::read_to_string(self.path("ready")).ok()?;
        (!text.is_empty()).then(|| text.into())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

pub fn has_guest() -> bool {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or(home)
        .unwrap();
    let found = cache.join("provium/guest/default/initrd").exists();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "CI lacks the default guest"
    );
    if !found {
        eprintln!("skipped: the default guest is not built");
    }
    found
}

#[test]
fn a_killed_runner_leaves_nothing() {
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    assert_eq!(busy.folder.processes().len(), 2, "QEMU and a server");
    busy.runner.kill().unwrap();
    busy.runner.wait().unwrap();
    busy.folder
        .assert_nothing_left_within(Duration::from_secs(5));
}

#[test]
fn a_killed_server_fails_the_guests_io_and_the_guest_goes_on() {
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
    send(busy.folder.process("mount"), libc::SIGKILL);
    std::fs::write(busy.path("dead"), "").unwrap();
    assert_eq!(busy.runner.wait().unwrap().code(), Some(1));
    let report = busy.report();
    assert!(
        report.contains("Input/output error") && report.contains("load average"),
        "{report}"
    );
    busy.folder
        .assert_nothing_left_within(Duration::from_secs(5));
}

#[test]
fn a_killed_qemu_fails_the_test_that_waits_for_it() {
    let look = "if io.open('dead') then provium:vm('v'):run('true') end";
    let Some(mut busy) = Busy::start(look) else {
        return;
    };
    send(busy.folder.process("qemu"), libc::SIGKILL);
    std::fs::write(busy.path("dead"), "").unwrap();
    assert_eq!(busy.runner.wait().unwrap().code(), Some(1));
    let report = busy.report();
    assert!(
        report.contains("vm:run: QEMU exited with signal: 9 (SIGKILL)"),
        "{report}"
    );
    busy.folder
        .assert_nothing_left_within(Duration::from_secs(5));
}

#[test]
fn an_interrupted_runner_leaves_nothing() {
    let Some(mut busy) = Busy::start("") else {
        return;
    };
    send(busy.runner.id(), libc::SIGINT);
    busy.runner.wait().unwrap();
    busy.folder
        .assert_nothing_left_within(Duration::from_secs(5));
}
