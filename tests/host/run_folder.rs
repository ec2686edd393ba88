//! A folder for one run of `provium test`, and whether this machine has a guest to run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::*;

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
            .env_remove("GITHUB_ACTIONS")
            .stdin(Stdio::null());
        command
    }

    /// QEMU and the servers of this run, which have its run-time folder in their environment.
    pub fn processes(&self) -> Vec<u32> {
        let words = ["qemu-system", " mount ", " state-server "];
        words.map(|word| self.called(word)).concat()
    }

    /// The processes of this run whose command line contains `word`.
    pub fn called(&self, word: &str) -> Vec<u32> {
        let ours = format!("XDG_RUNTIME_DIR={}\0", self.path("run").display());
        let read = |pid: u32, file: &str| {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        let is_it = |pid: &u32| {
            let line = read(*pid, "cmdline").replace('\0', " ");
            line.contains(word) && read(*pid, "environ").contains(&ours)
        };
        provium::os::proc::processes().filter(is_it).collect()
    }

    pub fn assert_nothing_left(&self) {
        self.assert_nothing_left_within(PATIENCE);
    }

    pub fn assert_nothing_left_within(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let marker = self.path("run").display().to_string();
        let folders = || {
            let found = std::fs::read_dir(self.path("run/provium")).unwrap();
            let names = found.map(|entry| entry.unwrap().file_name());
            names.collect::<Vec<_>>()
        };
        while !self.processes().is_empty() || mounts().contains(&marker) || !folders().is_empty() {
            let left = (self.processes(), mounts().contains(&marker), folders());
            assert!(
                Instant::now() < deadline,
                "left: processes, mount, folders: {left:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
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
