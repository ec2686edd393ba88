//! Folders in the run-time folder, each of one process: of a VM, or of crash states that are served.

use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::os::{folders, mounts, proc};

/// For what a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFolderKind {
    /// A VM.
    Vm,
    /// States that a power cut may leave.
    States,
    /// What the tests of a run leave.
    Evidence,
    /// A command with a mount of its own.
    Run,
}

impl RunFolderKind {
    const ALL: [Self; 4] = [Self::Vm, Self::States, Self::Evidence, Self::Run];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Vm => "vm-",
            Self::States => "states-",
            Self::Evidence => "evidence-",
            Self::Run => "run-",
        }
    }
}

/// A folder of this process's own, with an empty folder to mount at; removed when this is dropped. If the process is
/// killed, its mount server removes it; if that is killed too, the next run does.
///
/// It is locked (`flock(2)`) for as long as its process lives. A process ID would mean nothing in another PID
/// namespace.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// None once the folder is removed: a VM that is closed keeps no descriptor.
    lock: Mutex<Option<File>>,
}

impl RunFolder {
    /// Makes one.
    pub fn create(kind: RunFolderKind) -> io::Result<Self> {
        let runtime = folders::runtime()?;
        loop {
            let prefix = kind.prefix();
            let name = format!("{prefix}{}-{:08x}", std::process::id(), fastrand::u32(..));
            let path = runtime.join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            // Until it is locked, a process that cleans up may take it for a leftover.
            let Some(lock) = lock_new(&path)? else {
                continue;
            };
            let lock = Mutex::new(Some(lock));
            let folder = Self { path, lock };
            std::fs::create_dir(folder.mount_point())?;
            return Ok(folder);
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder in it to mount at.
    pub fn mount_point(&self) -> PathBuf {
        mount_point_in(&self.path)
    }

    /// Removes it now. Its files do not exist afterwards.
    pub fn remove(&self) {
        remove(&self.path);
        drop(self.lock.lock().take());
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.remove();
    }
}

fn mount_point_in(folder: &Path) -> PathBuf {
    folder.join("mnt")
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

/// Removes a folder, but never through a mount that is still there.
fn remove(folder: &Path) {
    if let Ok(Some(mount)) = mounts::find(&mount_point_in(folder))
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
        match leftovers(&RunFolderKind::ALL) {
            Ok(left) if !left.is_empty() => std::thread::sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
    let _ = remove_leftovers();
}

/// Removes the folders of processes that were killed, and what their mount servers have left.
pub fn remove_leftovers() -> io::Result<()> {
    remove_left(&RunFolderKind::ALL)?;
    mounts::remove_leftover_locks()
}

/// Removes what the tests of runs have left that were killed.
pub fn remove_evidence_of_killed_runs() -> io::Result<()> {
    remove_left(&[RunFolderKind::Evidence])
}

/// The process that has made a folder, as its name says.
fn owner(folder: &Path) -> Option<u32> {
    folder
        .file_name()?
        .to_str()?
        .split('-')
        .nth(1)?
        .parse()
        .ok()
}

/// Removes the folders of these kinds whose processes have ended. A process keeps its lock until the last of its threads
/// has ended; those that it started learn of the end of one thread, and may be gone before. So this waits for a process
/// that is ending, for a while.
fn remove_left(kinds: &[RunFolderKind]) -> io::Result<()> {
    proc::await_end(folders_of(kinds)?.filter_map(|folder| owner(&folder)));
    for (folder, _lock) in leftovers(kinds)? {
        remove(&folder);
    }
    Ok(())
}

/// The folders of these kinds whose processes have ended, each with a lock. Other processes that clean up share the
/// lock; a new folder cannot take it.
fn leftovers(kinds: &[RunFolderKind]) -> io::Result<Vec<(PathBuf, File)>> {
    let left = folders_of(kinds)?.filter_map(|path| {
        let lock = File::open(&path).ok()?;
        lock.try_lock_shared().ok()?;
        Some((path, lock))
    });
    Ok(left.collect())
}

/// The folders of these kinds, of processes that live and of others.
fn folders_of(kinds: &[RunFolderKind]) -> io::Result<impl Iterator<Item = PathBuf>> {
    let entries = folders::runtime()?.read_dir()?.flatten();
    let is_ours = |entry: &DirEntry| {
        let name = entry.file_name();
        kinds
            .iter()
            .any(|kind| name.as_bytes().starts_with(kind.prefix().as_bytes()))
    };
    Ok(entries.filter(is_ours).map(|entry| entry.path()))
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
