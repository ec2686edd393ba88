//! One mount on top of another: acknowledged writes are in the image after a kill of either server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use provium::fault::Random;

use super::stamps::{SECTORS, Stamps};
use super::{seed, setting};
use crate::harness::*;

/// One disk on top of the other: the inner mount serves a file of the outer one.
struct Stack {
    outer: Mount,
    inner: Mount,
}

impl Stack {
    fn on(image: &Path) -> Self {
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
fn acknowledged_writes_survive_a_kill_of_either_server() {
    let (rounds, seed) = (setting("PROVIUM_KILL_ROUNDS", 20), seed());
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), SECTORS * 512);
    let mut stamps = Stamps::new(false);
    for round in 0..rounds {
        let mut random = Random::at(seed, round);
        let mut stack = Stack::on(&image);
        let mut options = File::options();
        let file = options.read(true).write(true).open(stack.inner.vda());
        let file = file.unwrap();
        let (lasts, victim) = (random.below(15_000), random.below(3));
        stamps.write_until_gone(&file, seed ^ round, || {
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
        stamps.check(&found, &format!("seed {seed}, round {round}"));
    }
    println!(
        "{rounds} kills, {} writes, 0 lost, 0 unexplained",
        stamps.writes()
    );
}
