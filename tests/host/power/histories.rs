//! Random histories of a disk: what a client does to it, and the same in the model.

use std::fmt;
use std::fs::File;
use std::io::IoSlice;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use provium::fault::Random;
use provium::os::sys::fallocate;
use rustix::io::{ReadWriteFlags, pwritev2};

use super::model::{Change, Content, Model};
use super::*;

/// The disk may grow to so many bytes.
pub const MOST: usize = 24 << 10;
pub const SIZE: usize = 16 << 10;

/// What a client does.
#[derive(Clone)]
pub enum Step {
    /// At any byte.
    Write(usize, Vec<u8>),
    /// Whole sectors, past the page cache.
    Direct(usize, Vec<u8>),
    Durable(usize, Vec<u8>),
    Punch(Range<usize>),
    Zero(Range<usize>, bool),
    Allocate(Range<usize>, bool),
    Truncate(usize),
    Flush,
    Read(Range<usize>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(at, data) => write!(f, "write {at}+{}", data.len()),
            Self::Direct(at, data) => write!(f, "direct {at}+{}", data.len()),
            Self::Durable(at, data) => write!(f, "durable {at}+{}", data.len()),
            Self::Punch(range) => write!(f, "punch {}+{}", range.start, range.len()),
            Self::Zero(range, grows) => write!(f, "zero {}+{} {grows}", range.start, range.len()),
            Self::Allocate(range, grows) => {
                write!(f, "allocate {}+{} {grows}", range.start, range.len())
            }
            Self::Truncate(size) => write!(f, "truncate {size}"),
            Self::Flush => f.write_str("flush"),
            Self::Read(range) => write!(f, "read {}+{}", range.start, range.len()),
        }
    }
}

/// The files of a client.
pub struct Client {
    file: File,
    direct: File,
}

fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8)).flat_map(|_| random.draw().to_le_bytes());
    words.take(len).collect()
}

fn range(random: &mut Random, most: usize) -> Range<usize> {
    let start = random.below(most as u64 - 1) as usize;
    let longest = (most - start).min(3000) as u64;
    let len = 1 + random.below(longest) as usize;
    match random.below(2) {
        0 => start..start + len,
        _ => start / 512 * 512..(start + len).next_multiple_of(512),
    }
}

impl Step {
    pub fn at_random(random: &mut Random) -> Self {
        let within = match random.below(6) {
            0 => MOST,
            _ => SIZE,
        };
        let place = range(random, within);
        let data = bytes(random, place.len());
        let is_odd = random.below(2) == 1;
        match random.below(100) {
            0..30 => Self::Write(place.start, data),
            30..45 => {
                let len = data.len().next_multiple_of(512);
                Self::Direct(place.start / 512 * 512, bytes(random, len))
            }
            45..55 => Self::Durable(place.start, data),
            55..63 => Self::Punch(place),
            63..71 => Self::Zero(place, is_odd),
            71..74 => Self::Allocate(place, is_odd),
            74..80 => Self::Truncate(place.start),
            80..86 => Self::Flush,
            _ => Self::Read(place),
        }
    }
}

impl Client {
    pub fn of(mount: &Mount, disk: &str) -> Self {
        Self {
            file: open(mount, disk),
            direct: open_direct(&mount.path(disk)),
        }
    }

    /// Does it, and returns what a read finds.
    pub fn does(&self, step: &Step) -> std::io::Result<Vec<u8>> {
        let allocate = |mode, range: &Range<usize>| {
            fallocate(&self.file, mode, range.start as u64, range.len() as u64)
        };
        let keep = |grows: &bool| if *grows { 0 } else { libc::FALLOC_FL_KEEP_SIZE };
        match step {
            Step::Write(at, data) => self.file.write_all_at(data, *at as u64)?,
            Step::Direct(at, data) => {
                let mut page = AlignedPage([0; 4096]);
                page.0[..data.len()].copy_from_slice(data);
                self.direct
                    .write_all_at(&page.0[..data.len()], *at as u64)?;
            }
            Step::Durable(at, data) => {
                let data = [IoSlice::new(data)];
                pwritev2(&self.file, &data, *at as u64, ReadWriteFlags::DSYNC)?;
            }
            Step::Punch(range) => {
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                allocate(mode, range)?;
            }
            Step::Zero(range, grows) => allocate(libc::FALLOC_FL_ZERO_RANGE | keep(grows), range)?,
            Step::Allocate(range, grows) => allocate(keep(grows), range)?,
            Step::Truncate(size) => self.file.set_len(*size as u64)?,
            Step::Flush => self.file.sync_all()?,
            Step::Read(range) => {
                let mut found = vec![0; range.len()];
                let n = self.file.read_at(&mut found, range.start as u64)?;
                found.truncate(n);
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

impl Model {
    /// The change that a step asks for, if it asks for one that becomes pending.
    pub fn change_of(&self, step: &Step) -> Option<Change> {
        let size = self.seen().len();
        match step {
            Step::Write(at, data) | Step::Direct(at, data) => {
                let range = *at..at + data.len();
                Some(Change::new("write", range, Content::Data(data.clone())))
            }
            Step::Punch(range) => {
                let content = Content::Zeroes { grows: false };
                Some(Change::new("discard", range.clone(), content))
            }
            Step::Zero(range, grows) => {
                let content = Content::Zeroes { grows: *grows };
                Some(Change::new("zero", range.clone(), content))
            }
            Step::Allocate(range, true) if range.end > size => {
                Some(Change::new("zero", size..range.end, Content::Grown))
            }
            Step::Truncate(new) if *new < size => {
                let content = Content::Zeroes { grows: false };
                Some(Change::new("zero", *new..size, content))
            }
            Step::Truncate(new) if *new > size => {
                Some(Change::new("zero", size..*new, Content::Grown))
            }
            Step::Allocate(..)
            | Step::Truncate(_)
            | Step::Durable(..)
            | Step::Flush
            | Step::Read(_) => None,
        }
    }

    /// Does it in the model, and returns what a read finds.
    pub fn does(&mut self, step: &Step) -> Vec<u8> {
        if let Some(change) = self.change_of(step) {
            self.add(change);
        }
        match step {
            Step::Durable(at, data) => self.write_durably(*at, data),
            Step::Flush => self.flush(),
            Step::Read(range) => {
                let seen = self.seen();
                let end = range.end.min(seen.len());
                return seen[range.start.min(end)..end].to_vec();
            }
            _ => {}
        }
        Vec::new()
    }
}

/// Where two images differ, and their sizes if these do.
pub fn difference(a: &[u8], b: &[u8]) -> Option<(Option<usize>, usize, usize)> {
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    (a != b).then_some((at, a.len(), b.len()))
}

/// Does `steps` to the disk and to the model, and compares them.
pub fn live_through(mount: &Mount, disk: &str, client: &Client, model: &mut Model, steps: &[Step]) {
    for (at, step) in steps.iter().enumerate() {
        let found = client.does(step).unwrap();
        let expected = model.does(step);
        assert!(found == expected, "{disk}, step {at}: {steps:?}");
    }
    let seen = std::fs::read(mount.path(disk)).unwrap();
    assert_eq!(difference(&seen, &model.seen()), None, "{disk}: {steps:?}");
    assert_eq!(pending_of(mount, disk), model.lines(), "{disk}: {steps:?}");
    let stats = mount.read(&format!("{disk}/stats"));
    assert_eq!(
        stat_in(&stats, "pending_requests"),
        model.pending.len() as u64
    );
    assert_eq!(
        stat_in(&stats, "pending_bytes"),
        model.pending_bytes() as u64
    );
}

/// Steps at random.
pub fn steps(random: &mut Random, most: u64) -> Vec<Step> {
    let count = 1 + random.below(most);
    (0..count).map(|_| Step::at_random(random)).collect()
}
