//! The run-time folder of a VM: mount point, console log, QEMU's messages.

use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::VmError;
use super::warm::copy_sparse;
use crate::os::folders;
use crate::os::mounts;

const PREFIX: &str = "vm-";

/// A folder of this process's own, removed when this is dropped. If the process is killed, the VM's
/// mount server removes it; if that is killed too, the next run does.
///
/// It is locked (`flock(2)`) for as long as its process lives. A process ID would mean nothing in another PID
/// namespace.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// None once the folder is removed: a VM that is closed keeps no descriptor.
    lock: Mutex<Option<File>>,
}

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        let runtime = folders::runtime()?;
        loop {
            let name = format!("{PREFIX}{}-{:08x}", std::process::id(), fastrand::u32(..));
            let path = runtime.join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            // Until it is locked, a process that cleans up may take it for a leftover.
            let Some(lock) = lock_new(&path)? else {
                continue;
            };
            std::fs::create_dir(path.join("mnt"))?;
            let lock = Mutex::new(Some(lock));
            return Ok(Self { path, lock });
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn mount_point(&self) -> PathBuf {
        self.path.join("mnt")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    pub(super) fn qemu_log(&self) -> PathBuf {
        self.path.join("qemu.log")
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
        self.path.join(format!("scratch{number}.img"))
    }
}

impl Folder {
    /// Removes it now. Its files do not exist afterwards.
    pub(super) fn remove(&self) {
        remove(&self.path);
        drop(self.lock.lock().take());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Locks a folder that was just made; None when it was removed before.
fn lock_new(path: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    lock.lock()?;
    Ok(path.exists().then_some(lock))
}

/// Removes a VM's folder, but never through a mount that is still there.
fn remove(folder: &Path) {
    if let Ok(Some(mount)) = mounts::find(&folder.join("mnt"))
        && (!mount.is_stale() || mount.clean_up().is_err())
    {
        return;
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Waits until the mount servers of processes that have ended have cleaned up after them. Removes what they have
/// left after `limit`.
pub fn await_clean_up(limit: Duration) {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match leftovers() {
            Ok(left) if !left.is_empty() => std::thread::sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
    let _ = remove_leftovers();
}

/// Removes the folders of processes that were killed, and what their mount servers have left.
pub fn remove_leftovers() -> io::Result<()> {
    for (folder, _lock) in leftovers()? {
        remove(&folder);
    }
    mounts::remove_leftover_locks()
}

/// The folders of processes that have ended, each with a lock. Other processes that clean up share the lock; a
/// new VM cannot take it.
fn leftovers() -> io::Result<Vec<(PathBuf, File)>> {
    let entries = folders::runtime()?.read_dir()?.flatten();
    let is_vm = |entry: &DirEntry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
    let folders = entries.filter(is_vm).map(|entry| entry.path());
    let left = folders.filter_map(|path| {
        let lock = File::open(&path).ok()?;
        lock.try_lock_shared().ok()?;
        Some((path, lock))
    });
    Ok(left.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_was_cleaned_up_before_it_was_locked_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm-1");
        assert!(lock_new(&path).unwrap().is_none());
        std::fs::create_dir(&path).unwrap();
        let lock = lock_new(&path).unwrap().unwrap();
        let cleaner = File::open(&path).unwrap();
        assert!(cleaner.try_lock().is_err(), "it is in use");
        drop(lock);
        cleaner.try_lock().unwrap();
    }
}
