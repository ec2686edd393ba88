//! What was acknowledged is in the image, whoever is killed when.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use provium::fault::Random;

use crate::harness::*;

/// Sectors of the disk, dealt to the writers in turn: each one's neighbours are another's.
const SECTORS: u64 = 256;
const WRITERS: u64 = 4;

/// A number from the environment, for a longer run.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// What a writer knows of its sectors: the stamp whose write returned last, and one that may or may
/// not have been written when the disk went.
#[derive(Clone, Copy, Default)]
struct Known {
    done: u64,
    under_way: Option<u64>,
}

/// A sector full of one stamp.
#[repr(align(512))]
struct Stamped([u64; 64]);

impl Stamped {
    fn bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|stamp| stamp.to_le_bytes())
            .collect()
    }
}

/// Writes to sectors of its own, and flushes now and then, until the disk is gone. The stamps that
/// were flushed are in `flushed` by then.
fn write_until_gone(
    file: &File,
    writer: u64,
    known: &mut [Known],
    random: &mut Random,
    stamps: &AtomicU64,
) {
    loop {
        if random.below(8) == 0 && file.sync_data().is_err() {
            return;
        }
        let at = random.below(known.len() as u64) as usize;
        let stamp = stamps.fetch_add(1, Ordering::Relaxed);
        known[at].under_way = Some(stamp);
        let sector = at as u64 * WRITERS + writer;
        if file
            .write_all_at(&Stamped([stamp; 64]).bytes(), sector * 512)
            .is_err()
        {
            return;
        }
        known[at] = Known {
            done: stamp,
            under_way: None,
        };
    }
}

/// One disk on top of the other: the inner mount serves a file of the outer one.
struct Stack {
    outer: Mount,
    inner: Mount,
}

impl Stack {
    fn on(image: &std::path::Path) -> Self {
        let serve = |image: PathBuf| {
            let disk = format!("vda={}", image.display());
            Mount::serve(TempDir::new().unwrap(), &["--disk", &disk])
        };
        let outer = serve(image.to_owned());
        let inner = serve(outer.vda());
        Self { outer, inner }
    }
}

#[test]
fn what_was_acknowledged_is_in_the_image_whichever_server_is_killed_when() {
    let rounds = setting("PROVIUM_KILL_ROUNDS", 20);
    let seed = setting("PROVIUM_TEST_SEED", fastrand::u64(..));
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), SECTORS * 512);
    let stamps = AtomicU64::new(1);
    let mut known = vec![vec![Known::default(); (SECTORS / WRITERS) as usize]; WRITERS as usize];
    for round in 0..rounds {
        let mut random = Random::at(seed, round);
        let mut stack = Stack::on(&image);
        let file = File::options()
            .read(true)
            .write(true)
            .open(stack.inner.vda())
            .unwrap();
        let (lasts, victim) = (random.below(15_000), random.below(3));
        std::thread::scope(|scope| {
            for (writer, known) in known.iter_mut().enumerate() {
                let mut random = Random::at(seed ^ round, 1000 + writer as u64);
                let (file, stamps) = (&file, &stamps);
                scope.spawn(move || {
                    write_until_gone(file, writer as u64, known, &mut random, stamps);
                });
            }
            std::thread::sleep(Duration::from_micros(lasts));
            if victim != 0 {
                stack.outer.kill_server();
            }
            if victim != 1 {
                stack.inner.kill_server();
            }
        });
        drop((file, stack));
        let found = std::fs::read(&image).unwrap();
        for (writer, known) in known.iter_mut().enumerate() {
            for (at, known) in known.iter_mut().enumerate() {
                let sector = at as u64 * WRITERS + writer as u64;
                let bytes = &found[(sector * 512) as usize..][..512];
                let possible = [Some(known.done), known.under_way];
                let stamp = possible
                    .into_iter()
                    .flatten()
                    .find(|stamp| Stamped([*stamp; 64]).bytes() == bytes);
                let stamp = stamp.unwrap_or_else(|| {
                    panic!("seed {seed}, round {round}: sector {sector} holds none of {possible:?}")
                });
                *known = Known {
                    done: stamp,
                    under_way: None,
                };
            }
        }
    }
    println!("{rounds} kills, {} writes", stamps.into_inner());
}
