//! The run-time folder of a VM: mount point, console log, QEMU's messages.

use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::VmError;
use super::warm::copy_sparse;
use crate::sys::Process;
use crate::{dirs, mounts};

const PREFIX: &str = "vm-";

/// A folder of this process's own, removed when this is dropped. If the process is killed, the VM's
/// mount server removes it; if that is killed too, the next run does.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let path = dirs::runtime()?.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // Left by a process of the same number that is no more.
        remove(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        std::fs::create_dir(path.join("mnt"))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn mount_point(&self) -> PathBuf {
        self.0.join("mnt")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    pub(super) fn qemu_log(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// A new empty image of `size` bytes, which goes with the folder.
    pub(super) fn scratch_image(&self, size: u64) -> Result<PathBuf, VmError> {
        let path = self.image_path();
        let made = File::create_new(&path).and_then(|file| file.set_len(size));
        made.map_err(VmError::io(format!("a scratch disk of {size} bytes")))?;
        Ok(path)
    }

    /// A copy of the image `template`, which goes with the folder.
    pub(super) fn copied_image(&self, template: &Path) -> Result<PathBuf, VmError> {
        let path = self.image_path();
        let copied = File::open(template).and_then(|from| {
            let to = File::create_new(&path)?;
            copy_sparse(&from, &to, from.metadata()?.len())
        });
        let failed = VmError::io(format!("a copy of template {}", template.display()));
        copied.map_err(failed)?;
        Ok(path)
    }

    /// Where an image lies that goes with the folder; a new place each time.
    fn image_path(&self) -> PathBuf {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.join(format!("scratch{number}.img"))
    }
}

impl Folder {
    /// Removes it, now; what is asked of it afterwards is not there.
    pub(super) fn remove(&self) {
        remove(&self.0);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes a VM's folder, but never through a mount that is still there.
fn remove(folder: &Path) {
    let mount_point = folder.join("mnt");
    if let Ok(Some(mount)) = mounts::find(&mount_point)
        && (!mount.is_stale() || mounts::unmount(&mount_point, true).is_err())
    {
        return;
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Waits until the mount servers of the process `pid`, which is no more, have cleaned up after it;
/// removes what is left after `limit`.
pub fn await_clean_up(pid: u32, limit: Duration) {
    let deadline = Instant::now() + limit;
    let of_pid = |entry: &std::fs::DirEntry| owner(entry) == Some(pid);
    loop {
        let Ok(entries) = dirs::runtime().and_then(|folder| folder.read_dir()) else {
            return;
        };
        let left: Vec<_> = entries.flatten().filter(of_pid).collect();
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            return left.iter().for_each(|entry| remove(&entry.path()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process that a VM's folder belongs to.
fn owner(entry: &std::fs::DirEntry) -> Option<u32> {
    let name = entry.file_name().to_string_lossy().into_owned();
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes the folders of processes that were killed.
pub fn remove_leftovers() -> io::Result<()> {
    for entry in dirs::runtime()?.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid| !Process::is_running(pid)) {
            remove(&entry.path());
        }
    }
    Ok(())
}
