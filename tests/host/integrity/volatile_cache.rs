//! Storage whose cache dies with its owner: a write that was acknowledged before a flush is in the image when
//! the flush returns. Above it, a disk of ours without and with a cache of its own.
//!
//! The owner is qemu-storage-daemon, which exports a qcow2 image as a file in a FUSE mount. It keeps the place of
//! a cluster in its memory until it is told to flush. A cluster is one sector here, so a kill loses the writes
//! to new sectors.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use provium::fault::Random;

use super::stamps::{Kept, SECTORS, Stamps, sector_of};
use super::{seed, setting};
use crate::harness::*;

/// An empty disk that qemu-storage-daemon serves, until it is killed.
struct Storage {
    folder: TempDir,
    owner: Child,
}

impl Storage {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-o", "cluster_size=512"]);
        let size = (SECTORS * 512).to_string();
        assert_ok(&run(create.args([&path("disk.qcow2"), &size])));
        File::create(path("disk")).unwrap();
        let mut owner = Command::new("qemu-storage-daemon");
        owner.arg("--blockdev");
        owner.arg(format!(
            "driver=file,node-name=file,filename={}",
            path("disk.qcow2")
        ));
        owner.args(["--blockdev", "driver=qcow2,node-name=disk,file=file"]);
        let export = "type=fuse,id=export,node-name=disk,writable=on,allow-other=off,mountpoint=";
        owner
            .arg("--export")
            .arg(format!("{export}{}", path("disk")));
        let owner = owner.stdin(Stdio::null()).spawn().unwrap();
        let storage = Self { folder, owner };
        eventually("the storage answers", || is_mounted(&storage.disk()));
        storage
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Kills it, and so its cache.
    fn kill(&mut self) {
        self.owner.kill().unwrap();
        self.owner.wait().unwrap();
    }

    /// The content that it has kept, once it has ended.
    fn content(&self) -> Vec<u8> {
        let path = |name: &str| self.folder.path().join(name);
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", "qcow2", "-O", "raw"]);
        convert.args([path("disk.qcow2"), path("disk.raw")]);
        assert_ok(&run(&mut convert));
        std::fs::read(path("disk.raw")).unwrap()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = self.owner.kill();
        let _ = self.owner.wait();
        let _ = provium::os::mounts::unmount(&self.disk(), true);
    }
}

/// A mount that serves the storage's file, and its open disk.
fn serve(storage: &Storage, has_cache: bool) -> (Mount, File) {
    let cache = if has_cache { ",cache=volatile" } else { "" };
    let disk = format!("vda={}{cache}", storage.disk().display());
    let mount = Mount::serve(TempDir::new().unwrap(), &["--disk", &disk]);
    let mut options = File::options();
    let file = options.read(true).write(true).open(mount.vda()).unwrap();
    (mount, file)
}

fn has_storage() -> bool {
    has("qemu-storage-daemon") && has("qemu-img")
}

#[test]
fn flush_saves_writes_from_a_cache_that_dies_and_a_lost_flush_does_not() {
    if !has_storage() {
        return;
    }
    for is_lost in [false, true] {
        let mut storage = Storage::start();
        let (mount, file) = serve(&storage, false);
        if is_lost {
            mount.arm("lose op=flush");
        }
        for sector in 0..SECTORS {
            file.write_all_at(&sector_of(sector + 1), sector * 512)
                .unwrap();
        }
        file.sync_data().unwrap();
        storage.kill();
        drop((file, mount));
        let content = storage.content();
        let kept = content
            .chunks(512)
            .zip(1..)
            .filter(|(bytes, stamp)| sector_of(*stamp) == *bytes);
        assert_eq!(kept.count() as u64 == SECTORS, !is_lost);
    }
}

#[test]
fn flushed_writes_survive_a_kill_of_the_server_or_the_caches_owner() {
    if !has_storage() {
        return;
    }
    let (rounds, seed) = (setting("PROVIUM_KILL_ROUNDS", 20), seed());
    let mut writes = 0;
    for round in 0..rounds {
        let mut random = Random::at(seed, round);
        let mut stamps = Stamps::new();
        let mut storage = Storage::start();
        let has_cache = round % 2 == 1;
        let (mut mount, file) = serve(&storage, has_cache);
        let (lasts, victim) = (random.below(15_000), random.below(3));
        stamps.write_until_gone(&file, seed ^ round, || {
            std::thread::sleep(Duration::from_micros(lasts));
            if victim != 0 {
                storage.kill();
            }
            if victim != 1 {
                mount.kill_server();
            }
        });
        drop((file, mount));
        if victim == 0 {
            storage.kill();
        }
        // What is in our cache never gets to the storage without a flush.
        let kept = match has_cache {
            true => Kept::OnlyFlushed,
            false => Kept::Flushed,
        };
        let context = format!("seed {seed}, round {round}");
        stamps.check(&storage.content(), kept, &context);
        writes += stamps.writes();
    }
    println!("{rounds} kills, {writes} writes, 0 flushed ones lost, 0 unexplained");
}
