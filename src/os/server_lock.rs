//! A lock that a mount's server holds as long as it lives, on a file in its run-time folder.
//!
//! A process number means another process in another PID namespace, and after a while here too. A
//! lock ends with its holder, and the kernel tells each process the holder's number in that process's
//! namespace.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::os::folders;

const PREFIX: &str = "server-";
/// The name of a lock file until it is locked.
const UNLOCKED: &str = "new-";

/// The key of this process's lock, even if the lock could not be taken.
static OWN: OnceLock<String> = OnceLock::new();

/// The lock of this process.
///
/// This process must not open the file again: closing it would end the lock (fcntl(2)).
#[derive(Debug)]
pub struct ServerLock {
    path: PathBuf,
    file: Option<File>,
}

/// Whether a server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs; with its number, if this PID namespace has one for it.
    Runs(Option<u32>),
    /// It has ended.
    Ended,
    /// Its lock cannot be read.
    Unknown,
}

impl ServerLock {
    /// Takes the lock of this process, which serves one mount.
    pub fn take() -> io::Result<Self> {
        let new_key = || format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let key = OWN.get_or_init(new_key);
        let folder = folders::runtime()?;
        let unlocked = folder.join(format!("{UNLOCKED}{key}"));
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unlocked)?;
        let path = file_in(&folder, key);
        // It gets its name once it is locked: no process sees it unlocked under that name.
        lock_for_life(&file)
            .and_then(|()| std::fs::rename(&unlocked, &path))
            .inspect_err(|_| drop(std::fs::remove_file(&unlocked)))?;
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

impl Drop for ServerLock {
    /// Removes the file, and leaves it locked: processes that have it open learn from the lock when this
    /// process has ended.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        std::mem::forget(self.file.take());
    }
}

/// An open lock file of a server, which can be read until the server has ended.
#[derive(Debug)]
pub struct Watch(File);

impl Watch {
    /// None if the lock cannot be read.
    pub fn on(key: &str, owner: u32) -> Option<Self> {
        find(key, owner).map(|(_, file)| Self(file))
    }

    /// Whether the server has ended.
    pub fn has_ended(&self) -> bool {
        is_free(&self.0)
    }
}

/// The key of this process's lock, if it serves a mount.
pub fn own_key() -> Option<&'static str> {
    OWN.get().map(String::as_str)
}

/// Whether the server of the user `owner` with the lock `key` lives.
pub fn liveness(key: &str, owner: u32) -> Liveness {
    if own_key() == Some(key) {
        return Liveness::Runs(Some(std::process::id()));
    }
    match find(key, owner).map(|(_, file)| lock_holder(&file)) {
        Some(Ok(Some(pid))) => Liveness::Runs((pid > 0).then_some(pid)),
        Some(Ok(None)) => Liveness::Ended,
        _ => Liveness::Unknown,
    }
}

/// Removes the lock file of a server that has ended without removing it.
pub fn forget(key: &str, owner: u32) {
    if let Some((path, _)) = find(key, owner) {
        let _ = std::fs::remove_file(path);
    }
}

fn file_in(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{key}"))
}

fn find(key: &str, owner: u32) -> Option<(PathBuf, File)> {
    // It comes from the table of mounts, which other users can write to.
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    let paths = folders::runtimes_of(owner).into_iter();
    paths
        .map(|folder| file_in(&folder, key))
        .find_map(|path| Some((path.clone(), open(&path)?)))
}

/// Opens a lock file for reading. The folder may be another user's: links and pipes in it are refused.
fn open(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true);
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = file.open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// Removes the lock files in `folder` whose servers have ended, except those with a `mounted` key.
pub fn remove_leftovers(folder: &Path, mounted: &[String]) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let is_free = || open(&entry.path()).is_some_and(|file| is_free(&file));
        if !mounted.iter().any(|other| other == key) && Some(key) != own_key() && is_free() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_free(file: &File) -> bool {
    matches!(lock_holder(file), Ok(None))
}

/// Locks all of `file` until this process ends or closes a descriptor of it (`fcntl(2)`). Children do not
/// inherit the lock. EAGAIN or EACCES if another process holds it.
fn lock_for_life(file: &File) -> io::Result<()> {
    Ok(fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)?)
}

/// The process that holds the lock on `file`, by its number in this PID namespace; 0 if it has none
/// here.
fn lock_holder(file: &File) -> io::Result<Option<u32>> {
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))?;
    let number = |lock: Flock| lock.pid.map_or(0, |pid| pid.as_raw_pid());
    Ok(lock.map(|lock| u32::try_from(number(lock)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sys;

    #[test]
    fn key_that_would_leave_the_folder_finds_nothing() {
        for key in ["../../etc/passwd", "a/b", ".", ""] {
            assert_eq!(liveness(key, sys::uid()), Liveness::Unknown, "{key}");
        }
    }

    #[test]
    fn open_refuses_links_pipes_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        assert!(open(&file).is_some());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [link, pipe, folder.path().to_owned()] {
            assert!(open(&path).is_none(), "{}", path.display());
        }
    }

    #[test]
    fn leftover_lock_files_are_removed_unless_they_are_mounted() {
        let folder = tempfile::tempdir().unwrap();
        for key in ["1-mounted", "1-left"] {
            File::create(file_in(folder.path(), key)).unwrap();
        }
        remove_leftovers(folder.path(), &["1-mounted".to_owned()]);
        assert!(file_in(folder.path(), "1-mounted").exists());
        assert!(!file_in(folder.path(), "1-left").exists());
    }
}
