//! Resources of the host that only root may create; each is freed when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::*;

fn is_root(what: &str) -> bool {
    let is_root = provium::os::sys::uid() == 0;
    if !is_root {
        eprintln!("skipped: only root may {what}");
    }
    is_root
}

/// A tmpfs, which is unmounted when this is dropped.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// None, with a message, if this user may not mount one.
    pub fn at(point: &Path, options: &str) -> Option<Self> {
        if !is_root("mount a tmpfs") {
            return None;
        }
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "provium-test"])
            .arg(point);
        assert_ok(&run(&mut mount));
        Some(Self(point.to_owned()))
    }

    /// Mounts it again, with other options.
    pub fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        assert_ok(&run(Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// A block device of the kernel whose sectors lie in a file; freed when this is dropped.
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    /// None, with a message, if this machine has none for this user.
    pub fn on(file: &Path) -> Option<Self> {
        if !is_root("set up a loop device") || !has("losetup") {
            return None;
        }
        let output = run(Command::new("losetup").args(["--find", "--show"]).arg(file));
        if !output.status.success() {
            eprintln!("skipped: no loop device: {}", stderr(&output));
            return None;
        }
        Some(Self(stdout(&output).trim().into()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = run(Command::new("losetup").arg("--detach").arg(&self.0));
    }
}
