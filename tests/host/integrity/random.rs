//! Operations at random, as fsx does them, against a model in memory: of what clients see, and of what the image
//! has, which is less on a disk with a volatile cache.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use provium::fault::Random;
use provium::os::sys;

use super::{seed, setting};
use crate::harness::*;

const SIZE: u64 = MIB;
const LARGEST: u64 = 2 * MIB;
/// Writers of one disk, each with every eighth piece of it.
const WRITERS: usize = 8;

/// A disk that is open three times, with O_DIRECT, with O_DSYNC and without, and the content that it should have.
struct Fsx {
    mount: Mount,
    buffered: File,
    direct: File,
    synchronous: File,
    model: Vec<u8>,
    /// What its image should hold, if the disk has a volatile cache.
    durable: Option<Vec<u8>>,
    random: Random,
    /// The latest operations, for the message of a failure.
    done: VecDeque<String>,
}

impl Fsx {
    fn new(random: Random, has_cache: bool) -> Self {
        let mount = Mount::of_size(SIZE);
        if has_cache {
            mount.append("vda/cache", "volatile").unwrap();
        }
        let content = vec![0; SIZE as usize];
        Self {
            buffered: open(&mount),
            direct: open_direct(&mount.vda()),
            synchronous: open_synchronous(&mount),
            durable: has_cache.then(|| content.clone()),
            model: content,
            mount,
            random,
            done: VecDeque::new(),
        }
    }

    fn note(&mut self, what: String) {
        self.done.push_back(what);
        if self.done.len() > 20 {
            self.done.pop_front();
        }
    }

    fn size(&self) -> u64 {
        self.model.len() as u64
    }

    /// A range of the disk; of whole sectors where `is_direct`.
    fn range(&mut self, is_direct: bool) -> (u64, usize) {
        let unit = if is_direct { 512 } else { 1 };
        let longest = [600, 9000, 300_000][self.random.below(3) as usize];
        let units = self.size() / unit;
        let first = self.random.below(units);
        let count = (1 + self.random.below(longest / unit)).min(units - first);
        (first * unit, (count * unit) as usize)
    }

    fn file(&self, is_direct: bool) -> &File {
        if is_direct {
            &self.direct
        } else {
            &self.buffered
        }
    }

    fn write(&mut self, is_direct: bool) {
        let (offset, len) = self.range(is_direct);
        let data: Vec<u8> = (0..len).map(|_| self.random.below(256) as u8).collect();
        self.note(format!("write direct={is_direct} {offset}+{len}"));
        self.file(is_direct).write_all_at(&data, offset).unwrap();
        self.model[offset as usize..][..len].copy_from_slice(&data);
    }

    /// A write that is durable when it is answered, past all that is pending.
    fn write_through(&mut self) {
        let (offset, len) = self.range(false);
        let data: Vec<u8> = (0..len).map(|_| self.random.below(256) as u8).collect();
        self.note(format!("write durably {offset}+{len}"));
        self.synchronous.write_all_at(&data, offset).unwrap();
        let start = offset as usize;
        self.model[start..start + len].copy_from_slice(&data);
        if let Some(durable) = &mut self.durable {
            durable.resize(durable.len().max(start + len), 0);
            durable[start..start + len].copy_from_slice(&data);
        }
    }

    fn flush(&mut self) {
        self.note("flush".into());
        self.buffered.sync_all().unwrap();
        self.is_flushed();
    }

    /// All that was answered is durable.
    fn is_flushed(&mut self) {
        if let Some(durable) = &mut self.durable {
            durable.clone_from(&self.model);
        }
    }

    fn read(&mut self, is_direct: bool) {
        let (offset, len) = self.range(is_direct);
        self.note(format!("read direct={is_direct} {offset}+{len}"));
        let mut found = vec![0; len];
        self.file(is_direct)
            .read_exact_at(&mut found, offset)
            .unwrap();
        self.compare(&found, offset);
    }

    /// A read that begins before the end of the disk and ends after it.
    fn read_past_the_end(&mut self) {
        let left = 1 + self.random.below(5000);
        let offset = self.size() - left;
        self.note(format!("read {offset}+10000"));
        let mut found = vec![0; 10_000];
        let len = self.buffered.read_at(&mut found, offset).unwrap();
        assert_eq!(len as u64, left);
        self.compare(&found[..len], offset);
    }

    fn fallocate(&mut self) {
        const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
        let (mut offset, len) = self.range(false);
        let modes = [
            ("punch", libc::FALLOC_FL_PUNCH_HOLE | KEEP),
            ("zero", libc::FALLOC_FL_ZERO_RANGE | KEEP),
            ("zero and extend", libc::FALLOC_FL_ZERO_RANGE),
            ("allocate", 0),
        ];
        let (name, mode) = modes[self.random.below(4) as usize];
        // Requests that may extend the disk do so now and then.
        if mode & KEEP == 0 && self.size() + len as u64 <= LARGEST && self.random.below(4) == 0 {
            offset = self.size();
        }
        self.note(format!("{name} {offset}+{len}"));
        sys::fallocate(&self.buffered, mode, offset, len as u64).unwrap();
        let end = offset as usize + len;
        self.model.resize(end.max(self.model.len()), 0);
        if name != "allocate" {
            self.model[offset as usize..end].fill(0);
        }
    }

    fn truncate(&mut self) {
        let size = 512 * (64 + self.random.below(LARGEST / 512 - 64));
        // The host truncates its image. A truncation by a client leaves zeros instead.
        if self.durable.is_none() && self.random.below(2) == 0 {
            self.note(format!("the host truncates to {size}"));
            let image = File::options().write(true).open(self.mount.image());
            image.unwrap().set_len(size).unwrap();
            self.model.resize(size as usize, 0);
            return;
        }
        self.note(format!("truncate to {size}"));
        self.buffered.set_len(size).unwrap();
        let end = self.model.len();
        self.model.resize(end.max(size as usize), 0);
        self.model[end.min(size as usize)..].fill(0);
    }

    fn seek(&mut self) {
        let from = self.random.below(self.size());
        self.note(format!("seek from {from}"));
        let data = sys::seek_data(&self.buffered, from);
        let data = data.unwrap_or(self.size());
        let skipped = &self.model[from as usize..data as usize];
        assert!(skipped.iter().all(|byte| *byte == 0), "data in a hole");
        let hole = sys::seek_hole(&self.buffered, from).unwrap();
        assert!((from..=self.size()).contains(&hole));
    }

    /// Rules that change no data send requests along other paths: through the delays, and to the pool.
    fn arm(&mut self) {
        let rules = [
            "",
            "delay by=50us",
            "delay op=write by=100us..1ms",
            "hang max=1ms then=ok",
        ];
        let rule = rules[self.random.below(4) as usize];
        self.note(format!("arm `{rule}`"));
        std::fs::write(self.mount.ctl("vda/faults"), format!("{rule}\n")).unwrap();
    }

    fn reopen(&mut self, attach: bool) {
        self.note(format!("reopen, attached anew: {attach}"));
        let nothing = || File::open("/dev/null").unwrap();
        (self.buffered, self.direct) = (nothing(), nothing());
        self.synchronous = nothing();
        if attach {
            self.mount.append("detach", "vda").unwrap();
            self.is_flushed();
            self.compare_image();
            let cache = self.durable.as_ref().map_or("", |_| " cache=volatile");
            let line = format!("vda {}{cache}", self.mount.image().display());
            self.mount.append("attach", &line).unwrap();
        }
        self.buffered = open(&self.mount);
        self.direct = open_direct(&self.mount.vda());
        self.synchronous = open_synchronous(&self.mount);
    }

    /// The disk loses power, or has no cache for a moment.
    fn disturb_the_cache(&mut self) {
        let Some(durable) = &self.durable else {
            return;
        };
        let durable = durable.clone();
        let steps: [(&str, &[&str]); 3] = [
            ("power", &["cut", "on"]),
            ("power", &["cut keep=all", "on"]),
            ("cache", &["off", "volatile"]),
        ];
        let which = self.random.below(3) as usize;
        let (file, words) = steps[which];
        self.note(format!("{file}: {}", words.join(", ")));
        for word in words {
            self.mount.append(&format!("vda/{file}"), word).unwrap();
        }
        match which {
            0 => self.model = durable,
            _ => self.is_flushed(),
        }
        self.compare_image();
    }

    fn erase(&mut self) {
        self.note("open with truncation".into());
        File::create(self.mount.vda()).unwrap();
        self.model.fill(0);
    }

    fn compare_image(&mut self) {
        self.note("compare the image".into());
        let image = std::fs::read(self.mount.image()).unwrap();
        let expected = self.durable.as_ref().unwrap_or(&self.model);
        assert_eq!(image.len(), expected.len());
        assert_same(&image, expected, 0);
    }

    fn compare(&self, found: &[u8], offset: u64) {
        let expected = &self.model[offset as usize..][..found.len()];
        assert_same(found, expected, offset as usize);
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..20 => self.write(false),
            20..37 => self.write(true),
            37..40 => self.write_through(),
            40..55 => self.read(false),
            55..70 => self.read(true),
            70..73 => self.read_past_the_end(),
            73..83 => self.fallocate(),
            83..86 => self.truncate(),
            86..89 => self.seek(),
            89..91 => self.flush(),
            91 => self.disturb_the_cache(),
            92..94 => self.arm(),
            94..96 => self.reopen(false),
            96 => self.reopen(true),
            97 => self.erase(),
            _ => self.compare_image(),
        }
    }
}

fn assert_same(found: &[u8], expected: &[u8], offset: usize) {
    let mut pairs = found.iter().zip(expected);
    if let Some(at) = pairs.position(|(found, expected)| found != expected) {
        panic!(
            "byte {} is {}, not {}",
            offset + at,
            found[at],
            expected[at]
        );
    }
}

/// A failure is reported with the operations before it.
impl Drop for Fsx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the latest operations:\n{:#?}", self.done);
        }
    }
}

fn open(mount: &Mount) -> File {
    let mut options = File::options();
    options.read(true).write(true).open(mount.vda()).unwrap()
}

fn open_synchronous(mount: &Mount) -> File {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_DSYNC);
    options.open(mount.vda()).unwrap()
}

#[test]
fn random_operations_agree_with_a_model() {
    let (steps, seed) = (setting("PROVIUM_FSX_STEPS", 1000), seed());
    std::thread::scope(|scope| {
        for disk in 0..4 {
            scope.spawn(move || {
                let mut fsx = Fsx::new(Random::at(seed, disk), disk % 2 == 1);
                (0..steps).for_each(|_| fsx.step());
                fsx.flush();
                fsx.compare_image();
            });
        }
    });
    println!("4 disks, two of them with a cache, {steps} operations each");
}

#[test]
fn writers_of_one_sector_keep_out_of_each_others_bytes() {
    let seed = seed();
    for mode in ["off", "volatile"] {
        let mount = Mount::of_size(64 * 512);
        mount.append("vda/cache", mode).unwrap();
        let file = open(&mount);
        let models = write_pieces(&file, seed);
        file.sync_all().unwrap();
        let image = std::fs::read(mount.image()).unwrap();
        for (number, piece) in image.chunks(64).enumerate() {
            let expected = &models[number % WRITERS][number * 64..][..64];
            assert_eq!(piece, expected, "cache {mode}: piece {number}");
        }
    }
}

/// Each writer writes its pieces, each at random. What the disk has of each then.
fn write_pieces(file: &File, seed: u64) -> Vec<Vec<u8>> {
    std::thread::scope(|scope| {
        let write = |writer: usize| {
            scope.spawn(move || {
                let mut random = Random::at(seed, writer as u64);
                // Each writer has every eighth piece of 64 bytes.
                let mut model = vec![0; 64 * 512];
                for _ in 0..500 {
                    let at = (random.below(64) as usize * WRITERS + writer) * 64;
                    let piece = [random.below(256) as u8; 64];
                    file.write_all_at(&piece, at as u64).unwrap();
                    model[at..at + 64].copy_from_slice(&piece);
                }
                model
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(write).collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    })
}
