//! A lock that a mount's server holds for as long as it lives, on a file in its run-time folder.
//!
//! A process number means another process in another PID namespace, and after a while here too. A
//! lock ends with its holder, and whoever asks the kernel for the holder gets the number that is
//! valid where it asks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::os::folders;
use crate::os::sys;

const PREFIX: &str = "server-";
/// The name of a lock file until it is locked.
const UNLOCKED: &str = "new-";

/// The key of this process's lock, whether or not it could be taken.
static OWN: OnceLock<String> = OnceLock::new();

/// The lock of this process.
///
/// Nobody in this process may open the file again: closing it would end the lock (fcntl(2)).
#[derive(Debug)]
pub struct ServerLock {
    path: PathBuf,
    file: Option<File>,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs; with its number, where it can be seen from here.
    Runs(Option<u32>),
    /// It has ended.
    Ended,
    /// Its lock cannot be looked at.
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
        // Under its name it is locked from the first moment.
        sys::lock_for_life(&file)
            .and_then(|()| std::fs::rename(&unlocked, &path))
            .inspect_err(|_| drop(std::fs::remove_file(&unlocked)))?;
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

impl Drop for ServerLock {
    /// Removes its file, and leaves it locked: whoever has it open learns from that when this process
    /// has ended.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        std::mem::forget(self.file.take());
    }
}

/// A look at a server's lock that stays possible while the server ends.
#[derive(Debug)]
pub struct Watch(File);

impl Watch {
    /// None where its lock cannot be looked at.
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

/// Whether the server of `owner` runs whose lock has this key.
pub fn liveness(key: &str, owner: u32) -> Liveness {
    if own_key() == Some(key) {
        return Liveness::Runs(Some(std::process::id()));
    }
    match find(key, owner).map(|(_, file)| sys::lock_holder(&file)) {
        Some(Ok(Some(pid))) => Liveness::Runs((pid > 0).then_some(pid)),
        Some(Ok(None)) => Liveness::Ended,
        _ => Liveness::Unknown,
    }
}

/// Removes what a server has left that ended without doing so.
pub fn forget(key: &str, owner: u32) {
    if let Some((path, _)) = find(key, owner) {
        let _ = std::fs::remove_file(path);
    }
}

fn file_in(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{key}"))
}

fn find(key: &str, owner: u32) -> Option<(PathBuf, File)> {
    // It comes from the list of mounts, where others may write.
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    let paths = folders::runtimes_of(owner).into_iter();
    paths
        .map(|folder| file_in(&folder, key))
        .find_map(|path| Some((path.clone(), open(&path)?)))
}

/// Opens a lock file to look at it. The folder may be another user's: neither a link nor a pipe in it
/// may lead us on.
fn open(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true);
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = file.open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// Removes the files in `folder` of servers that are no more, except for those with a `mounted` key.
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
    matches!(sys::lock_holder(file), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_leave_the_folder_finds_nothing() {
        for key in ["../../etc/passwd", "a/b", ".", ""] {
            assert_eq!(liveness(key, sys::uid()), Liveness::Unknown, "{key}");
        }
    }

    #[test]
    fn what_is_no_lock_is_neither_followed_nor_waited_for() {
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
    fn the_lock_of_a_process_that_lives_is_held_and_that_of_nobody_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        for key in ["1-mounted", "1-left"] {
            File::create(file_in(folder.path(), key)).unwrap();
        }
        remove_leftovers(folder.path(), &["1-mounted".to_owned()]);
        assert!(file_in(folder.path(), "1-mounted").exists());
        assert!(!file_in(folder.path(), "1-left").exists());
    }
}
