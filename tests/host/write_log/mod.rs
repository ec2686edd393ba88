//! The write log of a disk, from outside: what is in it, what it begins from, how it ends, bad input.

mod bad_input;
mod ends;
mod load;
mod order;
mod qemu;
pub mod raw;
mod replays;

use std::path::{Path, PathBuf};
use std::process::Command;

use provium::os::mounts::unmount;

use crate::harness::*;

/// A mount whose `vda`, of `size` bytes, has this cache; the log is in the folder of the mount.
pub fn mount_with(cache: &str, size: u64) -> Mount {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), size);
    let disk = format!("vda={},cache={cache}", image.display());
    Mount::serve(folder, &["--disk", &disk])
}

pub fn log_of(mount: &Mount) -> PathBuf {
    mount.folder().join("disk.log")
}

pub fn start_log(mount: &Mount, words: &str) {
    let line = format!("start {} {words}", log_of(mount).display());
    mount.append("vda/log", &line).unwrap();
}

pub fn stop_log(mount: &Mount) {
    mount.append("vda/log", "stop").unwrap();
}

/// The path of the copy that a log begins from.
pub fn base_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".base");
    path.into()
}

/// A file system of its own size; unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn make(place: &Path, size: u64) -> Option<Self> {
        std::fs::create_dir(place).unwrap();
        let size = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "small"]).arg(place);
        let made = run(&mut mount);
        if !made.status.success() {
            eprintln!("skipped: cannot mount: {}", stderr(&made));
            return None;
        }
        Some(Self(place.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, true);
    }
}
