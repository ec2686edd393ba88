//! An image that is read: by us, and by tools that get it as their standard input, whatever its name is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::LocateError;

/// An open image.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    file: File,
}

impl Image {
    pub(super) fn open(path: &Path) -> Result<Self, LocateError> {
        let image = path.to_owned();
        let file = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        match file {
            Ok(file) => Ok(Self { path: image, file }),
            Err(cause) => Err(LocateError::Read { image, cause }),
        }
    }

    /// An open file in the place of the image at `path`.
    pub(super) fn of(path: PathBuf, file: File) -> Self {
        Self { path, file }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The `len` bytes at `at`, or as many as there are.
    pub(super) fn read_up_to(&self, at: u64, len: usize) -> Result<Vec<u8>, LocateError> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            match self.file.read_at(&mut bytes[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(cause) => {
                    let image = self.path.clone();
                    return Err(LocateError::Read { image, cause });
                }
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    /// The `len` bytes at `at`, which are zeros behind the end.
    pub(super) fn read(&self, at: u64, len: usize) -> Result<Vec<u8>, LocateError> {
        let mut bytes = self.read_up_to(at, len)?;
        bytes.resize(len, 0);
        Ok(bytes)
    }

    /// The error that says that `what` is damaged.
    pub(super) fn damaged(&self, what: &'static str, why: impl Into<String>) -> LocateError {
        LocateError::Damaged {
            what,
            image: self.path.clone(),
            why: why.into(),
        }
    }
}

/// Numbers in the bytes of an image. A number that is not all there is 0.
pub(super) trait Numbers {
    fn le16(&self, at: usize) -> u64;
    fn le32(&self, at: usize) -> u64;
    fn le64(&self, at: usize) -> u64;
    fn be16(&self, at: usize) -> u64;
    fn be32(&self, at: usize) -> u64;
    fn be64(&self, at: usize) -> u64;
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    found.unwrap_or([0; N])
}

impl Numbers for [u8] {
    fn le16(&self, at: usize) -> u64 {
        u16::from_le_bytes(part(self, at)).into()
    }

    fn le32(&self, at: usize) -> u64 {
        u32::from_le_bytes(part(self, at)).into()
    }

    fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(part(self, at))
    }

    fn be16(&self, at: usize) -> u64 {
        u16::from_be_bytes(part(self, at)).into()
    }

    fn be32(&self, at: usize) -> u64 {
        u32::from_be_bytes(part(self, at)).into()
    }

    fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(part(self, at))
    }
}
