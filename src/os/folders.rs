//! The folders for run-time files and for cached files.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::os::sys;

/// The folder for sockets, mounts and logs: `$XDG_RUNTIME_DIR/provium`, else `/tmp/provium-UID`.
///
/// Creates it with mode 0700. Refuses a folder that belongs to another user, that others may enter, or that is
/// a link: another user who can write there could replace our files.
pub fn runtime() -> io::Result<PathBuf> {
    let path = from_environment().unwrap_or_else(|| temporary(sys::uid()));
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(
                error.kind(),
                format!(
                    "cannot create the run-time folder {}: {error}",
                    path.display()
                ),
            ));
        }
        _ => {}
    }
    let found = path.symlink_metadata()?;
    match unsafe_because(&found) {
        // Without links, as the kernel's table has the mounts below it.
        None => path.canonicalize(),
        Some(why) => Err(io::Error::other(format!(
            "the run-time folder {} {why}: remove it and try again",
            path.display()
        ))),
    }
}

/// All places where the run-time folder of `user` may be. Creates nothing.
pub fn runtimes_of(user: u32) -> Vec<PathBuf> {
    let ours = from_environment().filter(|_| user == sys::uid());
    let session = PathBuf::from(format!("/run/user/{user}/provium"));
    ours.into_iter().chain([session, temporary(user)]).collect()
}

fn from_environment() -> Option<PathBuf> {
    Some(var_path("XDG_RUNTIME_DIR")?.join("provium"))
}

fn temporary(user: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/provium-{user}"))
}

fn unsafe_because(found: &Metadata) -> Option<&'static str> {
    if !found.is_dir() {
        Some("is not a folder")
    } else if found.uid() != sys::uid() {
        Some("belongs to another user")
    } else if found.mode() & 0o077 != 0 {
        Some("can be entered by others")
    } else {
        None
    }
}

/// The folder for files that provium can make again: `$XDG_CACHE_HOME/provium`, else `~/.cache/provium`.
pub fn cache() -> io::Result<PathBuf> {
    let base = var_path("XDG_CACHE_HOME").or_else(|| Some(var_path("HOME")?.join(".cache")));
    let missing = || io::Error::other("neither XDG_CACHE_HOME nor HOME is set");
    Ok(base.ok_or_else(missing)?.join("provium"))
}

/// An error at `path`, which it names.
pub fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// An environment variable that holds an absolute path. A relative or empty one counts as unset, as the XDG
/// specification demands.
fn var_path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(name)?);
    path.is_absolute().then_some(path)
}
