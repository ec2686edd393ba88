//! What a saved state depends on. A machine that differs in any of it cannot go on from the state.

use std::fmt::Write;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fault::fnv;

/// A machine as a text: equal texts, equal machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vm) struct Key(String);

impl Key {
    /// The key of the machine with QEMU's arguments `words`, made of `files` (QEMU itself, kernel,
    /// initrd) and, under KVM, of the host's `processor`.
    ///
    /// Fails when a file is not there.
    pub(in crate::vm) fn new(
        words: &[String],
        files: &[&Path],
        processor: &str,
    ) -> io::Result<Self> {
        let mut text = format!("provium {}\n", env!("CARGO_PKG_VERSION"));
        for word in words {
            text += word;
            text.push('\n');
        }
        for file in files {
            text += &fingerprint(file)?;
        }
        text += processor;
        Ok(Self(text))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// A name for files. Two keys may have the same: it takes the text to tell.
    pub(super) fn name(&self) -> String {
        format!("{:016x}", fnv(self.0.as_bytes()))
    }
}

/// Changes when the file is replaced or written to.
fn fingerprint(file: &Path) -> io::Result<String> {
    let real = file.canonicalize()?;
    let meta = real.metadata()?;
    let mut text = format!("{} {} bytes", real.display(), meta.len());
    let numbers = [
        meta.dev() as i64,
        meta.ino() as i64,
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ];
    for number in numbers {
        let _ = write!(text, " {number}");
    }
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_by_one_of_the_same_size_gives_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vmlinuz");
        let key = || Key::new(&["-m".into()], &[&file], "").unwrap();
        std::fs::write(&file, "one").unwrap();
        let before = key();
        assert_eq!(before, key());
        std::fs::write(folder.path().join("new"), "two").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        assert_ne!(before, key());
        assert_ne!(before.name(), key().name());
    }

    #[test]
    fn a_file_that_is_not_there_has_no_key() {
        assert!(Key::new(&[], &[Path::new("/no/such/kernel")], "").is_err());
    }
}
