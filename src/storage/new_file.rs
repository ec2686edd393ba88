//! A file that this process makes where a user says: never in its own mount, and never over something.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ftruncate, openat, unlinkat};

use super::place::{Device, Identity, Place, Wrong, must_lie_outside};
use crate::os::mounts;

/// A new file, which is gone again unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct NewFile {
    file: File,
    folder: Place,
    name: OsString,
    /// Whether there was no file before.
    is_new: bool,
    is_kept: bool,
}

/// Which files that exist can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// None.
    No,
    /// An empty one that nobody has locked.
    Empty,
}

/// Why there is no new file. Every text names the path.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// The server does not know the working directory of the user.
    #[error("path {} is not absolute: the server does not know your working directory", .0.display())]
    Relative(PathBuf),
    /// Nothing is overwritten.
    #[error("{} exists already: choose another path, or remove it", .0.display())]
    Exists(PathBuf),
    /// No regular file can be there.
    #[error("{} is {}: a path of a new file is expected", .0.display(), .1)]
    NotAFile(PathBuf, &'static str),
    /// It would lie in the mount of this process.
    #[error("{} lies in this mount itself: choose a path outside of it", .0.display())]
    InOwnMount(PathBuf),
    /// It would lie in the mount of a server that itself serves from this one.
    #[error("{} lies in a mount whose server serves a disk of this one: each would wait for the other", .0.display())]
    InCircle(PathBuf),
    /// The host refused.
    #[error("cannot create {}: {cause}", path.display())]
    Io {
        /// As the user gave it.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
}

impl NewFileError {
    fn of(wrong: Wrong, path: &Path) -> Self {
        let path = path.to_owned();
        match wrong {
            Wrong::InOwnMount => Self::InOwnMount(path),
            Wrong::InCircle => Self::InCircle(path),
            Wrong::Io(cause) => Self::Io { path, cause },
        }
    }

    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Exists(_) => libc::EEXIST,
            Self::Relative(_) | Self::NotAFile(..) | Self::InOwnMount(_) | Self::InCircle(_) => {
                libc::EINVAL
            }
            Self::Io { cause, .. } => cause.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

impl NewFile {
    /// Makes and locks a file at `path` that only its owner may read. A link there is not followed.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, NewFileError> {
        if !path.is_absolute() {
            return Err(NewFileError::Relative(path.to_owned()));
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(NewFileError::NotAFile(path.to_owned(), "a directory"));
        };
        let own = mounts::own_device();
        let rejected = |wrong| NewFileError::of(wrong, path);
        let folder = folder_outside(folder, own).map_err(rejected)?;
        if folder.is_of_the_kernel().map_err(|e| rejected(e.into()))? {
            let what = "in a folder of the kernel's own, as /proc or /sys";
            return Err(NewFileError::NotAFile(path.to_owned(), what));
        }
        let found = folder.entry(name).map_err(rejected)?;
        let file = match &found {
            Some(found) => open_empty(found, existing, own, path)?,
            None => create(&folder, name).map_err(|e| rejected(e.into()))?,
        };
        let mut new = Self {
            file,
            folder,
            name: name.to_owned(),
            is_new: found.is_none(),
            is_kept: false,
        };
        match new.file.try_lock() {
            Ok(()) => Ok(new),
            Err(TryLockError::WouldBlock) => {
                new.is_kept = true;
                Err(NewFileError::Exists(path.to_owned()))
            }
            Err(TryLockError::Error(cause)) => Err(rejected(cause.into())),
        }
    }

    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Best effort: what a host does not let us remove stays.
        let _ = match (self.is_kept, self.is_new) {
            (true, _) => Ok(()),
            (false, true) => unlinkat(&self.folder.named, &self.name, AtFlags::empty()),
            (false, false) => ftruncate(&self.file, 0),
        };
    }
}

/// The folder at `path`, whose files this process does not serve; `own` is the device of its mount.
fn folder_outside(path: &Path, own: Option<Device>) -> Result<Place, Wrong> {
    let folder = Place::find(path, own)?;
    must_lie_outside(Identity::of(&folder.named)?.on, own)?;
    Ok(folder)
}

fn create(folder: &Place, name: &OsStr) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(openat(&folder.named, name, flags, mode)?.into())
}

/// Opens the file that is there, if it is empty and may be taken.
fn open_empty(
    found: &Place,
    existing: Existing,
    own: Option<Device>,
    path: &Path,
) -> Result<File, NewFileError> {
    let rejected = |cause: io::Error| NewFileError::of(cause.into(), path);
    let identity = Identity::of(&found.named).map_err(rejected)?;
    if Some(identity.on) == own {
        return Err(NewFileError::InOwnMount(path.to_owned()));
    }
    let exists = || NewFileError::Exists(path.to_owned());
    if existing == Existing::No || identity.kind != FileType::RegularFile {
        return Err(exists());
    }
    let file = found.open(OpenOptions::new().read(true).write(true));
    let file = file.map_err(rejected)?;
    match file.metadata().map_err(rejected)?.len() {
        0 => Ok(file),
        _ => Err(exists()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn create_errno(path: &Path, existing: Existing) -> i32 {
        NewFile::create(path, existing).unwrap_err().errno()
    }

    #[test]
    fn new_file_is_gone_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for existing in [Existing::No, Existing::Empty] {
            let new = NewFile::create(&path, existing).unwrap();
            new.file().write_all(b"x").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"x");
            drop(new);
            assert!(!path.exists());
        }
        NewFile::create(&path, Existing::No).unwrap().keep();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn empty_file_is_taken_where_it_may_be_and_empty_again_unless_it_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(create_errno(file.path(), Existing::No), libc::EEXIST);
        let new = NewFile::create(file.path(), Existing::Empty).unwrap();
        let second = create_errno(file.path(), Existing::Empty);
        assert_eq!(second, libc::EEXIST, "another one has it");
        new.file().write_all(b"x").unwrap();
        drop(new);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"");
        std::fs::write(file.path(), "full").unwrap();
        assert_eq!(create_errno(file.path(), Existing::Empty), libc::EEXIST);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"full");
    }

    #[test]
    fn what_is_not_a_new_file_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink(at("target"), at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for (path, errno) in [
            (folder.path().to_owned(), libc::EEXIST),
            (at("link"), libc::EEXIST),
            (at("pipe"), libc::EEXIST),
            (at("none/a"), libc::ENOENT),
            (at("pipe/a"), libc::ENOTDIR),
            ("/".into(), libc::EINVAL),
            ("relative".into(), libc::EINVAL),
            ("/proc/self/new".into(), libc::EINVAL),
        ] {
            assert_eq!(create_errno(&path, Existing::Empty), errno, "{path:?}");
        }
        assert!(!at("target").exists());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }
}
