//! The memory of a guest as it was: a copy, and putting back what differs from it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::xxh3_128;

use crate::os::sys;
use crate::vm::VmError;
use crate::vm::cold_boot::guest_memory;
use crate::vm::warm::pages::{self, PAGE, PIECE};

/// A copy of a guest's memory, with holes for zeros.
pub(super) struct Memory {
    copy: File,
    len: u64,
    /// Of each page: to compare these takes half as long as to read both.
    digests: Vec<u128>,
}

impl Memory {
    /// A copy of `guest`.
    pub(super) fn of(guest: &File) -> Result<Self, VmError> {
        let copy = guest_memory(0)?;
        let copied = guest.metadata().and_then(|found| {
            let len = found.len();
            pages::copy(guest, &copy, len)?;
            let mut digests = Vec::with_capacity(len.div_ceil(PAGE as u64) as usize);
            each_digest(&copy, 0..len, |_, digest| digests.push(digest))?;
            Ok((len, digests))
        });
        let (len, digests) = copied.map_err(VmError::io("a copy of the guest's memory"))?;
        Ok(Self { copy, len, digests })
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills the empty file `guest`.
    pub(super) fn fill(&self, guest: &File) -> io::Result<()> {
        pages::copy(&self.copy, guest, self.len)
    }

    /// The ranges of whole pages in which `guest` differs. Nothing else takes as long, so all processors help.
    pub(super) fn changed(&self, guest: &File) -> io::Result<Vec<Range<u64>>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.len.div_ceil(threads as u64);
        let share = share.next_multiple_of(PIECE as u64).max(PIECE as u64);
        let starts = (0..self.len).step_by(share as usize);
        std::thread::scope(|scope| {
            let of_share = |start: u64| {
                let share = start..self.len.min(start + share);
                scope.spawn(|| self.changed_in(share, guest))
            };
            let threads: Vec<_> = starts.map(of_share).collect();
            let mut changed = Vec::new();
            for thread in threads {
                let panicked = |_| Err(io::Error::other("a thread that compares it panicked"));
                changed.extend(thread.join().unwrap_or_else(panicked)?);
            }
            Ok(changed)
        })
    }

    fn changed_in(&self, share: Range<u64>, guest: &File) -> io::Result<Vec<Range<u64>>> {
        let mut changed: Vec<Range<u64>> = Vec::new();
        each_digest(guest, share, |page, digest| {
            if self.digests[page] == digest {
                return;
            }
            let start = page as u64 * PAGE as u64;
            let end = self.len.min(start + PAGE as u64);
            match changed.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => changed.push(start..end),
            }
        })?;
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

/// Visits the pages of this range with their digests. The range begins a piece.
fn each_digest(
    file: &File,
    range: Range<u64>,
    mut visit: impl FnMut(usize, u128),
) -> io::Result<()> {
    let zeros = xxh3_128(&[0; PAGE]);
    let mut buffer = vec![0; PIECE];
    let mut stored = 0..0;
    for at in range.clone().step_by(PIECE) {
        let len = (range.end - at).min(PIECE as u64);
        let first = (at / PAGE as u64) as usize;
        if stored.end <= at {
            let next = pages::next_data(file, at, range.end)?;
            stored = next.unwrap_or(range.end..u64::MAX);
        }
        if stored.start >= at + len {
            let pages = len.div_ceil(PAGE as u64) as usize;
            (first..first + pages).for_each(|page| visit(page, zeros));
            continue;
        }
        let piece = &mut buffer[..len as usize];
        file.read_exact_at(piece, at)?;
        for (page, bytes) in (first..).zip(piece.chunks(PAGE)) {
            visit(page, xxh3_128(bytes));
        }
    }
    Ok(())
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
