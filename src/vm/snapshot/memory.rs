//! The memory of a guest as it was: a copy, and putting back what differs from it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::os::sys;
use crate::vm::VmError;
use crate::vm::cold_boot::guest_memory;
use crate::vm::warm::pages::{self, PAGE, PIECE};

/// A copy of a guest's memory, with holes for zeros.
pub(super) struct Memory {
    copy: File,
    len: u64,
}

impl Memory {
    /// A copy of `guest`.
    pub(super) fn of(guest: &File) -> Result<Self, VmError> {
        let copy = guest_memory(0)?;
        let copied = guest.metadata().and_then(|guest_file| {
            let len = guest_file.len();
            pages::copy(guest, &copy, len)?;
            Ok(len)
        });
        let len = copied.map_err(VmError::io("a copy of the guest's memory"))?;
        Ok(Self { copy, len })
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills the empty file `guest`.
    pub(super) fn fill(&self, guest: &File) -> io::Result<()> {
        pages::copy(&self.copy, guest, self.len)
    }

    /// The ranges of whole pages in which `guest` differs.
    pub(super) fn changed(&self, guest: &File) -> io::Result<Vec<Range<u64>>> {
        let mut changed: Vec<Range<u64>> = Vec::new();
        let mut both = [vec![0; PIECE], vec![0; PIECE]];
        let mut stored = [
            Stored::of(&self.copy, self.len),
            Stored::of(guest, self.len),
        ];
        for at in (0..self.len).step_by(PIECE) {
            let len = (self.len - at).min(PIECE as u64);
            let [in_copy, in_guest] = &mut stored;
            if !in_copy.meets(at..at + len)? & !in_guest.meets(at..at + len)? {
                continue;
            }
            let [was, is] = &mut both;
            let (was, is) = (&mut was[..len as usize], &mut is[..len as usize]);
            self.copy.read_exact_at(was, at)?;
            guest.read_exact_at(is, at)?;
            if was != is {
                differences(was, is, at, &mut changed);
            }
        }
        Ok(changed)
    }

    /// Makes `ranges` of `guest` what they were.
    pub(super) fn put_back(&self, guest: &File, ranges: &[Range<u64>]) -> io::Result<()> {
        for range in ranges {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.copy.read_exact_at(&mut bytes, range.start)?;
            let runs = pages::runs(&bytes);
            let is_all = runs.first().is_some_and(|run| run.len() == bytes.len());
            if !is_all {
                // What was zero needs no memory.
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                sys::fallocate(guest, mode, range.start, range.end - range.start)?;
            }
            for run in runs {
                guest.write_all_at(&bytes[run.clone()], range.start + run.start as u64)?;
            }
        }
        Ok(())
    }
}

/// Where a file stores bytes, asked in ascending order.
struct Stored<'a> {
    file: &'a File,
    len: u64,
    /// The first range that does not end before the place of the last question.
    next: Range<u64>,
}

impl<'a> Stored<'a> {
    fn of(file: &'a File, len: u64) -> Self {
        let next = 0..0;
        Self { file, len, next }
    }

    /// Whether there are any in `range`.
    fn meets(&mut self, range: Range<u64>) -> io::Result<bool> {
        if self.next.end <= range.start {
            let next = pages::next_data(self.file, range.start, self.len)?;
            self.next = next.unwrap_or(self.len..u64::MAX);
        }
        Ok(self.next.start < range.end)
    }
}

/// Adds the pages in which the two differ; they stand at `at`.
fn differences(was: &[u8], is: &[u8], at: u64, changed: &mut Vec<Range<u64>>) {
    let pages = was.chunks(PAGE).zip(is.chunks(PAGE));
    for ((was, is), start) in pages.zip((at..).step_by(PAGE)) {
        if was == is {
            continue;
        }
        let end = start + was.len() as u64;
        match changed.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => changed.push(start..end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 3 << 20;

    /// A file with these bytes at these places.
    fn guest(bytes: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN).unwrap();
        for (at, bytes) in bytes {
            file.write_all_at(bytes, *at).unwrap();
        }
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = vec![1; LEN as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn memory_is_put_back_as_it_was() {
        let page = PAGE as u64;
        let guest = guest(&[(0, b"first"), (9 * page, b"second"), (LEN - 1, b"z")]);
        let before = content(&guest);
        let memory = Memory::of(&guest).unwrap();
        assert_eq!(memory.changed(&guest).unwrap(), []);
        for at in [1, 8 * page, 10 * page, 2 << 20] {
            guest.write_all_at(b"other", at).unwrap();
        }
        guest.write_all_at(&[0], LEN - 1).unwrap();
        let changed = memory.changed(&guest).unwrap();
        let second = 2 << 20;
        assert_eq!(
            changed,
            [
                0..page,
                8 * page..9 * page,
                10 * page..11 * page,
                second..second + page,
                LEN - page..LEN
            ]
        );
        memory.put_back(&guest, &changed).unwrap();
        assert!(content(&guest) == before);
        assert_eq!(memory.changed(&guest).unwrap(), []);
    }

    #[test]
    fn hole_in_what_was_stored_is_a_change() {
        let guest = guest(&[(1 << 20, b"stored")]);
        let memory = Memory::of(&guest).unwrap();
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        sys::fallocate(&guest, mode, 0, LEN).unwrap();
        let page = (1 << 20)..(1 << 20) + PAGE as u64;
        assert_eq!(memory.changed(&guest).unwrap(), [page]);
    }
}
