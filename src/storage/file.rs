//! An image that is a file (or a block device) of the host, locked against a second server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::image::{Extent, Image};
use super::place::{Identity, Place, Wrong, must_lie_outside};
use crate::os::mounts;
use crate::os::sys;

/// A backing file, open for as long as this lives, and locked unless it was unlocked.
///
/// The lock is `flock(2)`: exclusive for a writable image, shared for a read-only one, so that
/// any number of servers may read an image or one may write it. Disks that share an image have a shared lock too; a
/// lock on a byte far behind the end tells them from those that only read.
#[derive(Debug)]
pub struct FileImage {
    file: File,
    path: PathBuf,
    read_only: bool,
    share: bool,
    is_block_device: bool,
}

/// Why an image cannot be served. Every text names the path.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file; nothing is created.
    #[error("image {} does not exist: {}", .0.display(), missing(.0))]
    Missing(PathBuf),
    /// Something that holds no sectors.
    #[error("image {} is {}: an image is a regular file or a block device", .0.display(), .1)]
    NotAnImage(PathBuf, &'static str),
    /// Another server, or another disk of this one, has it.
    #[error("image {} is already served: only one disk at a time may write an image (any number may read it, with `ro`, or write it if all of them have `share`)", .0.display())]
    Locked(PathBuf),
    /// The image lies in the mount that would serve it.
    #[error("image {} lies in this mount itself: serve a file from outside it", .0.display())]
    InOwnMount(PathBuf),
    /// It lies in the mount of a server that itself serves from this one.
    #[error("image {} lies in a mount whose server serves a disk of this one: each would wait for the other", .0.display())]
    InCircle(PathBuf),
    /// The host refused.
    #[error("image {}: cannot open it {}: {cause}", path.display(), if *read_only { "for reading" } else { "for writing (serve it with `ro` to only read it)" })]
    Io {
        /// As the user gave it.
        path: PathBuf,
        /// How it was opened.
        read_only: bool,
        /// What the host said.
        cause: io::Error,
    },
}

/// What to do about a missing image: create it, or mend the words behind the image that is there.
fn missing(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut ends = text.match_indices(',').map(|(at, _)| text.split_at(at));
    let image = ends.rfind(|(image, _)| Path::new(image).is_file());
    match image {
        Some((image, words)) => format!(
            "{image} does, and `{words}` behind it is not a list of options \
             (valid: ,ro ,fixed ,share ,cache=volatile ,scratch)"
        ),
        None => format!("create it first, for example with `truncate -s 1G {text}`"),
    }
}

impl OpenError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Missing(_) => libc::ENOENT,
            Self::NotAnImage(_, "a directory") => libc::EISDIR,
            Self::NotAnImage(..) | Self::InOwnMount(_) | Self::InCircle(_) => libc::EINVAL,
            Self::Locked(_) => libc::EBUSY,
            Self::Io { cause, .. } => cause.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

impl FileImage {
    /// Opens and locks the image at `path`.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, OpenError> {
        Self::open_as(path, read_only, false)
    }

    /// The same, which others that share it may have too.
    pub fn open_shared(path: &Path, read_only: bool) -> Result<Self, OpenError> {
        Self::open_as(path, read_only, true)
    }

    fn open_as(path: &Path, read_only: bool, share: bool) -> Result<Self, OpenError> {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => OpenError::Missing(path.to_owned()),
            _ => OpenError::Io {
                path: path.to_owned(),
                read_only,
                cause,
            },
        };
        let outside = |wrong| match wrong {
            Wrong::InOwnMount => OpenError::InOwnMount(path.to_owned()),
            Wrong::InCircle => OpenError::InCircle(path.to_owned()),
            Wrong::Io(cause) => failed(cause),
        };
        let place = std::path::absolute(path).map_err(failed)?;
        let own = mounts::own_device();
        let place = Place::find(&place, own).map_err(outside)?;
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let identity = Identity::of(&place.named).map_err(failed)?;
        if let Some(what) = not_an_image(identity.kind) {
            return Err(OpenError::NotAnImage(path.to_owned(), what));
        }
        if place.is_of_the_kernel().map_err(failed)? {
            return Err(OpenError::NotAnImage(path.to_owned(), KERNELS_OWN));
        }
        let is_block_device = identity.kind == FileType::BlockDevice;
        must_lie_outside(identity.on, own).map_err(outside)?;
        if is_block_device {
            must_lie_outside(identity.is, own).map_err(outside)?;
        }
        let mut options = OpenOptions::new();
        let file = place.open(options.read(true).write(!read_only));
        let image = Self {
            file: file.map_err(failed)?,
            path: place.path,
            read_only,
            share,
            is_block_device,
        };
        match image.lock() {
            Ok(true) => Ok(image),
            Ok(false) => Err(OpenError::Locked(path.to_owned())),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Where it lies, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

const KERNELS_OWN: &str = "a file of the kernel's own, as in /proc or /sys";

fn not_an_image(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice => Some("a character device"),
        _ => None,
    }
}

impl Image for FileImage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            // Not by the C library, whose reads get ready to be cancelled: no thread is cancelled here.
            match rustix::io::pread(&self.file, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(data, offset)
    }

    fn flush(&self, data_only: bool) -> io::Result<()> {
        // Not by the standard library, which repeats what was interrupted, for ever if need be.
        match data_only {
            true => Ok(rustix::fs::fdatasync(&self.file)?),
            false => Ok(rustix::fs::fsync(&self.file)?),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        sys::fallocate(&self.file, mode, offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        let keep = if keep_size {
            libc::FALLOC_FL_KEEP_SIZE
        } else {
            0
        };
        match sys::fallocate(&self.file, libc::FALLOC_FL_ZERO_RANGE | keep, offset, len) {
            // A file system without zero range (tmpfs): a hole reads the same.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.discard(offset, len)?;
                let end = offset + len;
                if !keep_size && end > self.size()? {
                    self.set_len(end)?;
                }
                Ok(())
            }
            result => result,
        }
    }

    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        let mode = if keep_size {
            libc::FALLOC_FL_KEEP_SIZE
        } else {
            0
        };
        sys::fallocate(&self.file, mode, offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.file, len)?)
    }

    fn size(&self) -> io::Result<u64> {
        if self.is_block_device {
            return (&self.file).seek(SeekFrom::End(0));
        }
        Ok(self.file.metadata()?.len())
    }

    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        match extent {
            Extent::Data => sys::seek_data(&self.file, offset),
            Extent::Hole => sys::seek_hole(&self.file, offset),
        }
    }

    fn clone_to(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::ioctl_ficlone(file, &self.file)?)
    }

    fn blocks(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks())
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn lock(&self) -> io::Result<bool> {
        let locked = match self.read_only || self.share {
            true => self.file.try_lock_shared(),
            false => self.file.try_lock(),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let is_alone_or_alike = self.lock_kind()?;
        if !is_alone_or_alike {
            self.unlock()?;
        }
        Ok(is_alone_or_alike)
    }

    fn unlock(&self) -> io::Result<()> {
        sys::unlock_byte(&self.file, self.kind_byte())?;
        self.file.unlock()
    }
}

/// The bytes whose locks tell how those that have a shared lock use an image.
const READERS: i64 = i64::MAX - 2;
const SHARERS: i64 = i64::MAX - 1;

impl FileImage {
    fn kind_byte(&self) -> i64 {
        if self.share { SHARERS } else { READERS }
    }

    /// Tells others how it uses the image; false while others use it in another way. Both are told before they look, so
    /// that never both pass.
    fn lock_kind(&self) -> io::Result<bool> {
        let others = if self.share { READERS } else { SHARERS };
        sys::share_byte(&self.file, self.kind_byte())?;
        Ok(!sys::is_byte_locked(&self.file, others)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn image_of(content: &[u8]) -> (tempfile::NamedTempFile, FileImage) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let image = FileImage::open(file.path(), false).unwrap();
        (file, image)
    }

    #[test]
    fn image_reads_back_what_was_written_and_has_it_in_the_file() {
        let (file, image) = image_of(&[0; 2048]);
        image.write_at(b"sector two", 1024).unwrap();
        let mut back = [0; 10];
        assert_eq!(image.read_at(&mut back, 1024).unwrap(), 10);
        assert_eq!(&back, b"sector two");
        assert_eq!(
            &std::fs::read(file.path()).unwrap()[1024..1034],
            b"sector two"
        );
    }

    #[test]
    fn read_across_the_end_is_short() {
        let (_file, image) = image_of(&[7; 700]);
        assert_eq!(image.read_at(&mut [0; 512], 512).unwrap(), 188);
    }

    #[test]
    fn zeroes_and_holes_read_as_zeros_and_leave_the_neighbours() {
        let (_file, image) = image_of(&[9; 4096 * 3]);
        image.discard(0, 4096).unwrap();
        image.write_zeroes(8192, 4096, true).unwrap();
        let mut all = vec![1; 4096 * 3];
        image.read_at(&mut all, 0).unwrap();
        let expected = [vec![0; 4096], vec![9; 4096], vec![0; 4096]].concat();
        assert!(all == expected);
    }

    #[test]
    fn zeroes_past_the_end_grow_the_image_unless_told_to_keep_its_size() {
        let (_file, image) = image_of(&[9; 4096]);
        image.write_zeroes(4096, 4096, true).unwrap();
        assert_eq!(image.size().unwrap(), 4096);
        image.write_zeroes(4096, 4096, false).unwrap();
        assert_eq!(image.size().unwrap(), 8192);
    }

    #[test]
    fn image_has_one_writer_or_any_number_of_readers() {
        let (file, writer) = image_of(&[0; 512]);
        let second = FileImage::open(file.path(), false).unwrap_err();
        assert!(matches!(second, OpenError::Locked(_)), "{second}");
        assert!(FileImage::open(file.path(), true).is_err());
        drop(writer);
        let _one = FileImage::open(file.path(), true).unwrap();
        let _two = FileImage::open(file.path(), true).unwrap();
    }

    #[test]
    fn image_is_shared_only_among_those_who_all_say_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = |share, read_only| FileImage::open_as(file.path(), read_only, share);
        let one = open(true, false).unwrap();
        let other = open(true, false).unwrap();
        let reader = open(true, true).unwrap();
        assert!(open(false, false).is_err());
        assert!(open(false, true).is_err());
        drop((one, reader));
        other.unlock().unwrap();
        let writer = open(false, false).unwrap();
        assert!(!other.lock().unwrap());
        assert!(open(true, false).is_err());
        drop(writer);
        let _reader = open(false, true).unwrap();
        assert!(open(true, false).is_err());
        assert!(open(false, true).is_ok());
    }

    #[test]
    fn image_that_is_unlocked_is_free_until_it_is_locked_again() {
        let (file, image) = image_of(&[0; 512]);
        image.unlock().unwrap();
        let other = FileImage::open(file.path(), false).unwrap();
        assert!(!image.lock().unwrap());
        drop(other);
        assert!(image.lock().unwrap());
        assert!(FileImage::open(file.path(), false).is_err());
    }

    #[test]
    fn missing_image_is_named_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.img");
        let error = FileImage::open(&path, false).unwrap_err();
        assert!(error.to_string().contains("none.img does not exist"));
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(!path.exists());
    }

    #[test]
    fn file_of_the_kernels_own_is_not_an_image() {
        let memory = format!("/proc/{}/mem", std::process::id());
        for path in [
            memory.as_str(),
            "/proc/version",
            "/sys/kernel/uevent_seqnum",
        ] {
            let error = FileImage::open(path.as_ref(), true).unwrap_err();
            assert!(error.to_string().contains("as in /proc or /sys"), "{error}");
            assert_eq!(error.errno(), libc::EINVAL);
        }
    }

    #[test]
    fn image_says_where_its_links_led() {
        let (file, image) = image_of(&[0; 512]);
        drop(image);
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(file.path(), &link).unwrap();
        let image = FileImage::open(&link, false).unwrap();
        assert_eq!(image.path(), file.path().canonicalize().unwrap());
    }

    #[test]
    fn directory_is_not_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileImage::open(folder.path(), false).unwrap_err();
        assert_eq!(error.errno(), libc::EISDIR);
        assert!(error.to_string().contains("is a directory"));
    }
}
