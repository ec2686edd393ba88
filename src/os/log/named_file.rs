//! A log file that is found by its name: once another program has renamed or removed it, the next line goes to a new
//! file. So a log is rotated by renaming it, and no signal is needed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat};

/// How often the name is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A log file.
#[derive(Debug)]
pub(super) struct NamedFile {
    /// Held from before the server mounts: a path would lead into its own mount if that covered it.
    folder: OwnedFd,
    name: OsString,
    file: File,
    looked: Instant,
    /// The last line was written in part.
    is_cut: bool,
}

impl NamedFile {
    /// Opens the log at `path`, and makes it if it is missing, readable for its owner alone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) => std::path::absolute(path)?,
        };
        let no_name = || io::Error::from(io::ErrorKind::IsADirectory);
        let name = path.file_name().ok_or_else(no_name)?.to_owned();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        Ok(Self {
            file: open_in(&folder, &name)?,
            folder,
            name,
            looked: Instant::now(),
            is_cut: false,
        })
    }

    /// Appends `line`. On an error it may be there in part; the next one begins a line of its own all the same.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.follow_name();
        if self.is_cut {
            self.file.write_all(b"\n")?;
        }
        let written = self.file.write_all(line);
        self.is_cut = written.is_err();
        written
    }

    /// Opens the file anew if the name has come to mean another one. If that fails, the old one is used.
    fn follow_name(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let named = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let ours = fstat(&self.file);
        let is_ours = named.is_ok_and(|named| {
            ours.is_ok_and(|ours| (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino))
        });
        if !is_ours && let Ok(file) = open_in(&self.folder, &self.name) {
            self.file = file;
            self.is_cut = false;
        }
    }
}

fn open_in(folder: &OwnedFd, name: &OsString) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NOFOLLOW
        // A pipe without a reader would make it wait.
        | OFlags::NONBLOCK;
    let file = openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_that_was_renamed_or_removed_begins_anew_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut log = NamedFile::open(&path("a.log")).unwrap();
        log.write(b"1\n").unwrap();
        std::fs::rename(path("a.log"), path("a.log.1")).unwrap();
        std::thread::sleep(LOOK);
        log.write(b"2\n").unwrap();
        std::fs::remove_file(path("a.log")).unwrap();
        std::thread::sleep(LOOK);
        log.write(b"3\n").unwrap();
        assert_eq!(std::fs::read(path("a.log.1")).unwrap(), b"1\n");
        assert_eq!(std::fs::read(path("a.log")).unwrap(), b"3\n");
    }

    #[test]
    fn log_is_a_regular_file_and_a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        for wrong in [&pipe, &folder.path().to_owned(), &"/dev/null".into()] {
            assert!(NamedFile::open(wrong).is_err(), "{}", wrong.display());
        }
    }
}
