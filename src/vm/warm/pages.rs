//! Copying and summing a guest's memory without its zeros. A guest has never touched most of its memory, so pages
//! of zeros are neither copied nor read again, whether they are holes or not.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::os::sys;

/// Bytes of a page.
pub(in crate::vm) const PAGE: usize = 4096;
const ZEROS: &[u8] = &[0; PAGE];
/// Bytes that are read at a time: they fit into a processor's cache.
pub(in crate::vm) const PIECE: usize = 256 << 10;

/// Writes the first `len` bytes of `from` to the empty file `to`, leaving holes for zeros.
pub(in crate::vm) fn copy(from: &File, to: &File, len: u64) -> io::Result<()> {
    to.set_len(len)?;
    each_run(from, len, |at, bytes| to.write_all_at(bytes, at))
}

/// The CRC-32 of the first `len` bytes: of each page that is not zero, and of its number.
pub(super) fn checksum(file: &File, len: u64) -> io::Result<u32> {
    checked(file, len, |_, _| Ok(()))
}

/// The same, and copies the first `most` bytes to the empty file `to` on the way.
pub(super) fn copy_and_check(file: &File, len: u64, to: &File, most: u64) -> io::Result<u32> {
    checked(file, len, |at, bytes| match most.checked_sub(at) {
        None | Some(0) => Ok(()),
        Some(rest) => to.write_all_at(&bytes[..bytes.len().min(rest as usize)], at),
    })
}

fn checked(
    file: &File,
    len: u64,
    mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    each_run(file, len, |at, bytes| {
        visit(at, bytes)?;
        for (page, number) in bytes.chunks(PAGE).zip(at / PAGE as u64..) {
            hasher.update(&number.to_le_bytes());
            hasher.update(page);
        }
        Ok(())
    })?;
    Ok(hasher.finalize())
}

/// Visits, with their offsets, runs of pages that are not zero in the first `len` bytes.
fn each_run(
    file: &File,
    len: u64,
    mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while let Some(data) = next_data(file, at, len)? {
        at = data.start;
        while at < data.end {
            let piece = &mut buffer[..(data.end - at).min(PIECE as u64) as usize];
            file.read_exact_at(piece, at)?;
            for run in runs(piece) {
                visit(at + run.start as u64, &piece[run])?;
            }
            at += piece.len() as u64;
        }
    }
    Ok(())
}

/// The first whole pages at or after `at` that are not a hole. `at` begins a page.
pub(in crate::vm) fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<Range<u64>>> {
    let start = match sys::seek_data(file, at) {
        Ok(start) if start < len => start,
        Err(error) if error.raw_os_error() != Some(libc::ENXIO) => return Err(error),
        _ => return Ok(None),
    };
    let end = sys::seek_hole(file, start)?;
    let page = PAGE as u64;
    Ok(Some(
        start / page * page..end.next_multiple_of(page).min(len),
    ))
}

/// Where in `piece` there are pages that are not zero.
pub(in crate::vm) fn runs(piece: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (start, page) in (0..).step_by(PAGE).zip(piece.chunks(PAGE)) {
        if page == &ZEROS[..page.len()] {
            continue;
        }
        let end = start + page.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 3 << 20;

    /// A file of 3 MiB and 5 bytes with data in some pages.
    fn memory() -> File {
        let file = tempfile::tempfile().unwrap();
        for at in [0, 8191, (1 << 20) - 1, 1 << 20, LEN + 4] {
            file.write_all_at(b"\x05", at).unwrap();
        }
        file
    }

    fn read(file: &File, len: u64) -> Vec<u8> {
        let mut bytes = vec![1; len as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn copy_is_equal_and_has_the_same_checksum() {
        let (from, to) = (memory(), tempfile::tempfile().unwrap());
        copy(&from, &to, LEN + 5).unwrap();
        assert!(read(&from, LEN + 5) == read(&to, LEN + 5));
        assert_eq!(
            checksum(&from, LEN + 5).unwrap(),
            checksum(&to, LEN + 5).unwrap()
        );
    }

    #[test]
    fn checksum_ignores_zeros_that_are_written_out() {
        let file = memory();
        let before = checksum(&file, LEN).unwrap();
        file.write_all_at(&[0; 65536], 2 << 20).unwrap();
        assert_eq!(checksum(&file, LEN).unwrap(), before);
    }

    #[test]
    fn checksum_depends_on_the_place_of_a_page() {
        let file = memory();
        let before = checksum(&file, LEN).unwrap();
        file.write_all_at(b"\0", 1 << 20).unwrap();
        file.write_all_at(b"\x05", 2 << 20).unwrap();
        assert_ne!(checksum(&file, LEN).unwrap(), before);
    }

    #[test]
    fn checksum_ignores_all_after_the_length() {
        let file = memory();
        let before = checksum(&file, LEN).unwrap();
        file.write_all_at(b"\x07", LEN + 4).unwrap();
        assert_eq!(checksum(&file, LEN).unwrap(), before);
        assert_ne!(checksum(&file, LEN + 5).unwrap(), before);
    }
}
