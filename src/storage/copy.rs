//! A copy of an image that takes no more room than its data need.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::image::{Extent, Image};

/// Bytes that are read at once, and left a hole if all of them are zeros.
const PIECE: u64 = 64 << 10;

/// Copies `image` into `file`, which is empty: where the file system can, by sharing its blocks, else what is
/// stored of it. Parts that hold zeros become holes.
///
/// The image must not change meanwhile.
pub fn copy(image: &dyn Image, file: &File) -> io::Result<()> {
    if image.clone_to(file).is_ok() {
        return Ok(());
    }
    let size = image.size()?;
    file.set_len(size)?;
    let mut buffer = vec![0; PIECE.min(size) as usize];
    let mut at = next_data(image, 0, size)?;
    while at < size {
        let end = next_hole(image, at, size);
        while at < end {
            let len = PIECE.min(end - at) as usize;
            let read = image.read_at(&mut buffer[..len], at)?;
            if read < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if buffer[..len].iter().any(|byte| *byte != 0) {
                file.write_all_at(&buffer[..len], at)?;
            }
            at += len as u64;
        }
        at = next_data(image, at, size)?;
    }
    Ok(())
}

/// Where data begin, at `at` or after it; `size` where none do.
pub(super) fn next_data(image: &dyn Image, at: u64, size: u64) -> io::Result<u64> {
    if at >= size {
        return Ok(size);
    }
    match image.seek(Extent::Data, at) {
        Ok(data) => Ok(data.clamp(at, size)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(size),
        // A block device cannot tell: all of it are data.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(at),
        Err(error) => Err(error),
    }
}

/// Where the data at `at` end; `size` where the image cannot tell.
pub(super) fn next_hole(image: &dyn Image, at: u64, size: u64) -> u64 {
    let hole = image.seek(Extent::Hole, at);
    hole.map_or(size, |hole| hole.clamp(at + 1, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{FileImage, MemoryImage};
    use std::os::unix::fs::MetadataExt;

    /// An image of `size` bytes that holds `data` at these places, with its path.
    fn image_of(size: u64, places: &[u64], data: &[u8]) -> (tempfile::NamedTempFile, FileImage) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        for at in places {
            file.as_file().write_all_at(data, *at).unwrap();
        }
        let image = FileImage::open(file.path(), false).unwrap();
        (file, image)
    }

    #[test]
    fn copy_is_equal_and_has_the_holes_of_its_image() {
        for (size, places) in [
            (0, &[][..]),
            (1, &[0]),
            (64 << 20, &[]),
            ((64 << 20) + 333, &[0, 5_000_000, (64 << 20) + 332]),
            (PIECE * 3, &[PIECE - 1, 2 * PIECE]),
        ] {
            let (source, image) = image_of(size, places, b"d");
            let target = tempfile::NamedTempFile::new().unwrap();
            copy(&image, target.as_file()).unwrap();
            let [from, to] = [&source, &target].map(|file| std::fs::read(file.path()).unwrap());
            assert!(from == to, "{size}");
            let blocks = target.as_file().metadata().unwrap().blocks();
            let most = places.len() as u64 * PIECE / 512;
            assert!(blocks <= most, "{size}: {blocks} blocks");
        }
    }

    #[test]
    fn zeros_that_are_stored_become_holes() {
        let (_source, image) = image_of(4 * PIECE, &[0], &vec![0; 4 * PIECE as usize]);
        let target = tempfile::NamedTempFile::new().unwrap();
        copy(&image, target.as_file()).unwrap();
        let found = target.as_file().metadata().unwrap();
        assert_eq!((found.len(), found.blocks()), (4 * PIECE, 0));
    }

    #[test]
    fn error_of_the_image_is_passed_on() {
        let image = MemoryImage::new(PIECE as usize);
        image.fail_with(libc::EIO);
        let target = tempfile::NamedTempFile::new().unwrap();
        let error = copy(&image, target.as_file()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
}
