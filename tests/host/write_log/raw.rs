//! A log as its bytes say, read and replayed by code that knows nothing of ours.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::harness::*;

/// An entry, in sectors of 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Write {
        sector: u64,
        count: u64,
        fua: bool,
        data_at: u64,
    },
    Discard {
        sector: u64,
        count: u64,
    },
    Flush,
    Mark(String),
}

/// The entries of `log`, as many as its first sector counts.
pub fn entries(log: &Path) -> Vec<Entry> {
    let file = File::open(log).unwrap();
    let sector = |at: u64| {
        let mut bytes = [0; 512];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let number =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let superblock = sector(0);
    assert_eq!(&superblock[..8], b"rhswfsj\0");
    assert_eq!((number(&superblock, 8), number(&superblock, 24)), (1, 512));
    let mut at = 512;
    let count = number(&superblock, 16);
    let entries = (0..count).map(|_| {
        let bytes = sector(at);
        let [sector, count, flags, len] = [0, 8, 16, 24].map(|at| number(&bytes, at));
        at += 512;
        match (flags, count) {
            (0 | 2, 1..) => {
                let data_at = at;
                at += count * 512;
                let fua = flags == 2;
                Entry::Write {
                    sector,
                    count,
                    fua,
                    data_at,
                }
            }
            (4, 1..) => Entry::Discard { sector, count },
            (1, 0) => Entry::Flush,
            (8, 0) => Entry::Mark(String::from_utf8(bytes[32..][..len as usize].to_vec()).unwrap()),
            other => panic!("an entry that nobody reads: {other:?}"),
        }
    });
    let entries = entries.collect();
    let len = file.metadata().unwrap().len();
    assert!(at <= len, "{at} bytes are counted, {len} are there");
    entries
}

/// The texts of its marks.
pub fn marks(log: &Path) -> Vec<String> {
    let marks = entries(log).into_iter().filter_map(|entry| match entry {
        Entry::Mark(text) => Some(text),
        Entry::Write { .. } | Entry::Discard { .. } | Entry::Flush => None,
    });
    marks.collect()
}

/// Does to the file `image` what the log says, in its order.
pub fn replay(log: &Path, image: &Path) {
    let file = File::open(log).unwrap();
    let image = File::options().write(true).open(image).unwrap();
    for entry in entries(log) {
        match entry {
            Entry::Write {
                sector,
                count,
                data_at,
                ..
            } => copy(&file, data_at, &image, sector * 512, count * 512),
            Entry::Discard { sector, count } => {
                let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                provium::os::sys::fallocate(&image, punch, sector * 512, count * 512).unwrap();
            }
            Entry::Flush | Entry::Mark(_) => {}
        }
    }
}

fn copy(from: &File, at: u64, to: &File, place: u64, len: u64) {
    let mut done = 0;
    while done < len {
        let mut buffer = vec![0; (len - done).min(MIB) as usize];
        from.read_exact_at(&mut buffer, at + done).unwrap();
        to.write_all_at(&buffer, place + done).unwrap();
        done += buffer.len() as u64;
    }
}

/// Fails unless two files are equal to the byte.
pub fn assert_same(a: &Path, b: &Path) {
    assert_ok(&run(Command::new("cmp").args([a, b])));
}
