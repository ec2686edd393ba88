//! Layers against a model that is as simple as can be.

use std::sync::Arc;

use super::{Frozen, LayerFolder, LayeredImage};
use crate::storage::{Extent, FileImage, Image, MemoryImage};

/// Most bytes of a disk of the model.
const MOST: u64 = 5000;

fn folder() -> Arc<LayerFolder> {
    Arc::new(LayerFolder::at(&std::env::temp_dir()))
}

/// An image and what it holds.
struct Bench {
    base: Arc<dyn Image>,
    image: LayeredImage,
    bytes: Vec<u8>,
    frozen: Vec<(Frozen, Vec<u8>)>,
    random: fastrand::Rng,
}

impl Bench {
    fn range(&mut self, most: u64) -> (u64, u64) {
        let offset = self.random.u64(0..most);
        (offset, self.random.u64(1..=(most - offset).min(700)))
    }

    /// Changes the image and the model in the same way.
    fn change(&mut self) {
        let size = self.bytes.len() as u64;
        match self.random.u8(0..10) {
            0..6 => {
                let (offset, len) = self.range((size + 200).min(MOST));
                let data: Vec<_> = (0..len).map(|_| self.random.u8(1..)).collect();
                self.image.write_at(&data, offset).unwrap();
                self.grow(offset + len);
                self.bytes[offset as usize..][..len as usize].copy_from_slice(&data);
            }
            6 => {
                let (offset, len) = self.range(MOST);
                self.image.discard(offset, len).unwrap();
                self.zero(offset, len);
            }
            7 => {
                let (offset, len) = self.range(MOST);
                let keep_size = self.random.bool();
                self.image.write_zeroes(offset, len, keep_size).unwrap();
                if !keep_size {
                    self.grow(offset + len);
                }
                self.zero(offset, len);
            }
            8 => {
                let len = self.random.u64(0..MOST);
                self.image.set_len(len).unwrap();
                self.bytes.resize(len as usize, 0);
            }
            _ => {
                let (offset, len) = self.range(MOST);
                self.image.allocate(offset, len, false).unwrap();
                self.grow(offset + len);
            }
        }
    }

    fn grow(&mut self, end: u64) {
        let size = (end as usize).max(self.bytes.len());
        self.bytes.resize(size, 0);
    }

    fn zero(&mut self, offset: u64, len: u64) {
        let size = self.bytes.len();
        let range = (offset as usize).min(size)..((offset + len) as usize).min(size);
        self.bytes[range].fill(0);
    }

    fn kept(&self) -> Vec<Frozen> {
        self.frozen
            .iter()
            .map(|(frozen, _)| frozen.clone())
            .collect()
    }

    fn unite(&self) {
        while let Some(pair) = self.image.pair(&self.kept()) {
            pair.unite().unwrap();
        }
    }

    /// Saves, returns to, or drops.
    fn travel(&mut self) {
        let is_any = !self.frozen.is_empty();
        match self.random.u8(0..4) {
            0 if self.frozen.len() < 6 => {
                let frozen = self.image.freeze().unwrap();
                self.frozen.push((frozen, self.bytes.clone()));
            }
            1 if is_any => {
                let at = self.random.usize(..self.frozen.len());
                let (frozen, bytes) = self.frozen[at].clone();
                drop(self.image.return_to(&frozen).unwrap());
                self.bytes = bytes;
            }
            2 if is_any => {
                let at = self.random.usize(..self.frozen.len());
                self.frozen.remove(at);
                if self.frozen.is_empty() && !self.image.is_scratch() {
                    drop(self.image.write_back(true).unwrap());
                    assert_eq!(read(&*self.base), self.bytes);
                }
            }
            _ => self.unite(),
        }
    }

    fn check(&mut self) {
        assert_eq!(self.image.size().unwrap(), self.bytes.len() as u64);
        assert!(read(&self.image) == self.bytes);
        let (offset, len) = self.range(MOST);
        let mut part = vec![7; len as usize];
        let found = self.image.read_at(&mut part, offset).unwrap();
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        assert_eq!(&part[..found], &rest[..rest.len().min(len as usize)]);
        self.check_extents();
    }

    /// All that is not zero is in extents of data, and these and holes alternate up to the end.
    fn check_extents(&self) {
        let size = self.bytes.len() as u64;
        let mut at = 0;
        while at < size {
            let data = self.image.seek(Extent::Data, at).unwrap_or(size);
            assert!(
                self.bytes[at as usize..data as usize]
                    .iter()
                    .all(|byte| *byte == 0)
            );
            if data == size {
                break;
            }
            at = self.image.seek(Extent::Hole, data).unwrap();
            assert!(at > data && at <= size);
        }
        let past = self.image.seek(Extent::Hole, size).unwrap_err();
        assert_eq!(past.raw_os_error(), Some(libc::ENXIO));
    }
}

fn read(image: &dyn Image) -> Vec<u8> {
    let mut bytes = vec![0; image.size().unwrap() as usize];
    assert_eq!(image.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn seed() -> u64 {
    let seed = match std::env::var("PROVIUM_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    seed
}

fn run(histories: usize, bench: impl Fn(&mut fastrand::Rng) -> Bench) {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..histories {
        let mut bench = bench(&mut random);
        for _ in 0..60 {
            match bench.random.u8(0..3) {
                0 => bench.travel(),
                _ => bench.change(),
            }
            bench.check();
        }
        bench.unite();
        // The ground, the frozen ones, one that waits for the next, and the top.
        assert!(bench.image.depth() <= bench.frozen.len() + 3);
    }
}

fn bench_of(base: Arc<dyn Image>, image: LayeredImage, random: &mut fastrand::Rng) -> Bench {
    Bench {
        bytes: read(&image),
        base,
        image,
        frozen: Vec::new(),
        random: random.fork(),
    }
}

#[test]
fn layers_at_random_read_as_a_simple_model_says() {
    run(1000, |random| {
        let base = Arc::new(MemoryImage::new(random.usize(0..4000)));
        let image = LayeredImage::new(base.clone(), folder());
        bench_of(base, image, random)
    });
}

#[test]
fn layers_of_a_scratch_image_at_random_leave_the_file_as_it_was() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(file.path(), &content).unwrap();
    run(200, |random| {
        let base = Arc::new(FileImage::open(file.path(), true).unwrap());
        let size = random.bool().then_some(4000);
        let image = LayeredImage::scratch(base.clone(), folder(), size).unwrap();
        bench_of(base, image, random)
    });
    assert_eq!(std::fs::read(file.path()).unwrap(), content);
}

#[test]
fn writing_back_that_fails_leaves_what_was_frozen_wherever_it_fails() {
    for full_at in (0..4096).step_by(512) {
        let base = Arc::new(MemoryImage::new(4096));
        base.write_at(&[1; 4096], 0).unwrap();
        let image = LayeredImage::new(base.clone(), folder());
        let frozen = image.freeze().unwrap();
        image.write_at(&[2; 1000], 100).unwrap();
        image.discard(1500, 1000).unwrap();
        image.write_at(&[3; 1000], 3000).unwrap();
        let after = read(&image);
        base.be_full_at(full_at);
        match image.write_back(true) {
            Ok(_) => assert_eq!(read(&*base), after),
            Err(error) => {
                assert!(!error.is_lost);
                assert_eq!(read(&image), after, "{full_at}");
                drop(image.return_to(&frozen).unwrap());
                assert_eq!(read(&image), vec![1; 4096], "{full_at}");
            }
        }
    }
}

#[test]
fn writing_back_that_fails_without_room_for_the_old_content_says_so() {
    let base = Arc::new(MemoryImage::new(4096));
    base.write_at(&[1; 4096], 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layers = Arc::new(LayerFolder::at(folder.path()));
    let image = LayeredImage::new(base.clone(), layers);
    image.freeze().unwrap();
    image.write_at(&[2; 4096], 0).unwrap();
    drop(folder);
    base.be_full_at(1024);
    assert!(image.write_back(true).unwrap_err().is_lost);
    assert_eq!(read(&image), [2; 4096]);
    base.be_full_at(u64::MAX);
    drop(image.write_back(true).unwrap());
    assert_eq!(read(&*base), [2; 4096]);
}

#[test]
fn thousand_rounds_of_saving_and_dropping_leave_few_layers() {
    let base = Arc::new(MemoryImage::new(1 << 20));
    let image = LayeredImage::new(base.clone(), folder());
    let first = image.freeze().unwrap();
    let mut latest = first.clone();
    for round in 0..1000_u64 {
        image.write_at(&[round as u8; 300], round * 500).unwrap();
        latest = image.freeze().unwrap();
        let kept = [first.clone(), latest.clone()];
        while let Some(pair) = image.pair(&kept) {
            pair.unite().unwrap();
        }
        assert!(image.depth() <= 3, "{}", image.depth());
    }
    drop(image.return_to(&latest).unwrap());
    let mut bytes = [0; 300];
    for round in 0..1000_u64 {
        image.read_at(&mut bytes, round * 500).unwrap();
        assert_eq!(bytes, [round as u8; 300]);
    }
    drop(image.return_to(&first).unwrap());
    assert_eq!(read(&image), vec![0; 1 << 20]);
}

#[test]
fn flush_after_the_first_layer_makes_durable_what_the_image_held_once() {
    let base = Arc::new(MemoryImage::new(4096));
    let image = LayeredImage::new(base.clone(), folder());
    image.freeze().unwrap();
    let before = base.touched();
    image.flush(true).unwrap();
    image.flush(true).unwrap();
    assert_eq!(base.touched(), before + 1);
}

#[test]
fn writing_back_looks_for_holes_in_long_ranges_alone() {
    let base = Arc::new(MemoryImage::new(1 << 20));
    base.write_at(&[1; 1 << 20], 0).unwrap();
    let image = LayeredImage::new(base.clone(), folder());
    let write_back = |len: usize| {
        image.freeze().unwrap();
        for offset in (0..1 << 20).step_by(256 << 10) {
            image.write_at(&vec![2; len], offset).unwrap();
        }
        let before = base.holes_sought();
        drop(image.write_back(true).unwrap());
        base.holes_sought() - before
    };
    assert_eq!(write_back(64 << 10), 0);
    assert_eq!(write_back((64 << 10) + 1), 4);
}
