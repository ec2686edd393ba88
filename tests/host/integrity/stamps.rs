//! Sectors stamped by their latest writer, the writers, and the stamps that a sector may have.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use provium::fault::Random;

/// Sectors of the disk, dealt to the writers in turn: neighbours belong to different writers.
pub const SECTORS: u64 = 256;
pub const WRITERS: u64 = 4;

/// A sector full of one stamp.
pub fn sector_of(stamp: u64) -> Vec<u8> {
    stamp.to_le_bytes().repeat(64)
}

/// The stamps that a sector may have: the one that is safe, and later ones.
#[derive(Clone, Debug)]
struct Possible(Vec<u64>);

/// The stamps that each sector of a disk may have.
pub struct Stamps {
    /// By writer.
    sectors: Vec<Vec<Possible>>,
    last: AtomicU64,
    /// Whether a write may be lost until it is flushed.
    is_cached: bool,
}

impl Stamps {
    /// An empty disk. If `is_cached`, its storage may lose writes that were not flushed.
    pub fn new(is_cached: bool) -> Self {
        let empty = vec![Possible(vec![0]); (SECTORS / WRITERS) as usize];
        Self {
            sectors: vec![empty; WRITERS as usize],
            last: AtomicU64::new(0),
            is_cached,
        }
    }

    /// The number of writes that were begun.
    pub fn writes(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Has all writers write to `file`, with a flush now and then, until a write fails. `meanwhile` makes it
    /// fail.
    pub fn write_until_gone(&mut self, file: &File, seed: u64, meanwhile: impl FnOnce()) {
        let (last, is_cached) = (&self.last, self.is_cached);
        std::thread::scope(|scope| {
            for (writer, sectors) in self.sectors.iter_mut().enumerate() {
                let writer = Writer {
                    file,
                    number: writer as u64,
                    random: Random::at(seed, 1000 + writer as u64),
                    last,
                    is_cached,
                };
                scope.spawn(move || writer.run(sectors));
            }
            meanwhile();
        });
    }

    /// Checks every byte of the image, whose stamps are then the safe ones.
    pub fn check(&mut self, image: &[u8], context: &str) {
        assert_eq!(image.len() as u64, SECTORS * 512, "{context}");
        for (number, bytes) in image.chunks(512).enumerate() {
            let writer = number % WRITERS as usize;
            let possible = &mut self.sectors[writer][number / WRITERS as usize].0;
            let found = possible.iter().find(|stamp| sector_of(**stamp) == bytes);
            let Some(found) = found else {
                let begins = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                panic!("{context}: sector {number} holds {begins}.., and not one of {possible:?}");
            };
            *possible = vec![*found];
        }
    }
}

/// Writes to its own sectors.
struct Writer<'a> {
    file: &'a File,
    number: u64,
    random: Random,
    last: &'a AtomicU64,
    is_cached: bool,
}

impl Writer<'_> {
    fn run(mut self, sectors: &mut [Possible]) {
        loop {
            if self.random.below(8) == 0 {
                if self.file.sync_data().is_err() {
                    return;
                }
                sectors.iter_mut().for_each(Possible::is_flushed);
            }
            let at = self.random.below(sectors.len() as u64) as usize;
            let stamp = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            sectors[at].0.push(stamp);
            let sector = at as u64 * WRITERS + self.number;
            let written = self.file.write_all_at(&sector_of(stamp), sector * 512);
            if written.is_err() {
                return;
            }
            if !self.is_cached {
                sectors[at].is_flushed();
            }
        }
    }
}

impl Possible {
    /// All writes had returned before the flush began, so the last of them is safe.
    fn is_flushed(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }
}
