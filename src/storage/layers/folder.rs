//! Where the data of layers lie: files without a name, so that nothing of them is left, whoever is killed.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};

use crate::os::folders;

/// The folder in which layers have their files. It is opened once: later its path may lead into a mount of this process.
#[derive(Debug)]
pub struct LayerFolder {
    path: PathBuf,
    /// The folder, or why there is none.
    opened: Result<File, String>,
}

impl LayerFolder {
    /// The run-time folder.
    pub fn open() -> Self {
        match folders::runtime() {
            Ok(path) => Self::at(&path),
            Err(error) => Self {
                path: PathBuf::new(),
                opened: Err(error.to_string()),
            },
        }
    }

    /// The folder at `path`.
    pub fn at(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, path, flags, Mode::empty());
        let failed = |error| format!("{}: {error}", path.display());
        Self {
            path: path.to_owned(),
            opened: opened.map(File::from).map_err(failed),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file in it, without a name.
    pub(super) fn new_file(&self) -> io::Result<File> {
        let folder = self.opened.as_ref();
        let folder = folder.map_err(|why| io::Error::other(why.clone()))?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        if folder.metadata()?.nlink() == 0 {
            // What a file system says of a folder that was removed varies.
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        match openat(folder, ".", flags | OFlags::TMPFILE, mode) {
            // A file system that has no files without a name.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {}
            opened => return Ok(opened?.into()),
        }
        let name = format!("layer-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let created = flags | OFlags::CREATE | OFlags::EXCL;
        let file = openat(folder, &name, created, mode)?;
        unlinkat(folder, &name, AtFlags::empty())?;
        Ok(file.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn file_of_a_layer_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let layers = LayerFolder::at(folder.path());
        let mut file = layers.new_file().unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn folder_that_is_not_there_is_named_once_a_layer_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let layers = LayerFolder::at(&folder.path().join("none"));
        let error = layers.new_file().unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
    }
}
