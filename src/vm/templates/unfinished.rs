//! A file that has no name until it is whole: a process that is killed leaves nothing of it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, linkat};

/// A file without a name; where the file system has no such files, one that goes when this is dropped.
pub(super) struct Unfinished {
    pub(super) file: File,
    named: Option<PathBuf>,
}

impl Unfinished {
    /// One in the folder of `path`, for which it is meant. `path` with the ending `.new` belongs to the caller alone.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut options = File::options();
        options.read(true).write(true).mode(0o600);
        match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
            Ok(file) => Ok(Self { file, named: None }),
            Err(error) if has_no_nameless_files(&error) => {
                let named = path.with_extension("new");
                let file = options.create(true).truncate(true).open(&named)?;
                let named = Some(named);
                Ok(Self { file, named })
            }
            Err(error) => Err(error),
        }
    }

    /// Gives it the name `path`, under which nothing is yet. What it holds survives a crash of the host.
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match self.named.take() {
            Some(named) => std::fs::rename(named, path),
            None => {
                let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(named) = &self.named {
            let _ = std::fs::remove_file(named);
        }
    }
}

fn has_no_nameless_files(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    matches!(code, Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn file_has_no_name_until_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.raw");
        let new = Unfinished::beside(&path).unwrap();
        (&new.file).write_all(b"half").unwrap();
        drop(new);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let new = Unfinished::beside(&path).unwrap();
        (&new.file).write_all(b"whole").unwrap();
        new.publish(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
