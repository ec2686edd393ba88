//! One mount on top of another: after a kill of either server the image has each write that was acknowledged, and
//! those that were flushed and no others where a volatile cache died.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use provium::fault::Random;

use super::stamps::{Kept, SECTORS, Stamps};
use super::{seed, setting};
use crate::harness::*;

/// One disk on top of the other: the inner mount serves a file of the outer one.
struct Stack {
    outer: Mount,
    inner: Mount,
}

/// Whether each of them has a volatile cache.
#[derive(Clone, Copy, Debug, Default)]
struct Caches {
    outer: bool,
    inner: bool,
}

/// Which of them are killed.
#[derive(Clone, Copy, Debug)]
struct Victims {
    outer: bool,
    inner: bool,
}

impl Stack {
    fn on(image: &Path, caches: Caches) -> Self {
        let serve = |image: PathBuf, has_cache| {
            let cache = if has_cache { ",cache=volatile" } else { "" };
            let disk = format!("vda={}{cache}", image.display());
            Mount::serve(TempDir::new().unwrap(), &["--disk", &disk])
        };
        let outer = serve(image.to_owned(), caches.outer);
        let inner = serve(outer.vda(), caches.inner);
        Self { outer, inner }
    }

    fn kill(&mut self, victims: Victims) {
        if victims.outer {
            self.outer.kill_server();
        }
        if victims.inner {
            self.inner.kill_server();
        }
    }
}

/// Every other round has a cache, or two.
fn caches(round: u64, random: &mut Random) -> Caches {
    let which = random.below(3);
    match round % 2 {
        0 => Caches::default(),
        _ => Caches {
            outer: which != 0,
            inner: which != 1,
        },
    }
}

/// What the image has then. The inner disk's cache dies either way: with its server, or since it cannot write.
fn kept(caches: Caches, victims: Victims) -> Kept {
    match caches.inner || caches.outer && victims.outer {
        true => Kept::OnlyFlushed,
        false => Kept::Answered,
    }
}

#[test]
fn acknowledged_or_flushed_writes_survive_a_kill_of_either_server() {
    let (rounds, seed) = (setting("PROVIUM_KILL_ROUNDS", 20), seed());
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), SECTORS * 512);
    let mut stamps = Stamps::new();
    for round in 0..rounds {
        let mut random = Random::at(seed, round);
        let (lasts, victim) = (random.below(15_000), random.below(3));
        let victims = Victims {
            outer: victim != 0,
            inner: victim != 1,
        };
        let caches = caches(round, &mut random);
        let mut stack = Stack::on(&image, caches);
        let mut options = File::options();
        let file = options.read(true).write(true).open(stack.inner.vda());
        let file = file.unwrap();
        stamps.write_until_gone(&file, seed ^ round, || {
            std::thread::sleep(Duration::from_micros(lasts));
            stack.kill(victims);
        });
        drop((file, stack));
        let found = std::fs::read(&image).unwrap();
        let context = format!("seed {seed}, round {round}, {caches:?}, {victims:?}");
        stamps.check(&found, kept(caches, victims), &context);
    }
    println!(
        "{rounds} kills, {} writes, 0 lost, 0 unexplained",
        stamps.writes()
    );
}
