//! A thousand held requests of each engine take no threads of the server, and nobody else waits for them.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::*;

/// Requests that are held at once.
const HELD: u64 = 1000;
/// The server has fewer threads.
const THREADS: u64 = 64;
/// What a control file takes at most where nothing else runs, of all requests that are held.
const ANSWER: Duration = Duration::from_millis(50);

/// The disks `vda`, whose reads are held, and `vdb` of one mount.
struct Disks {
    mount: Mount,
    /// How long reads of `vdb` take while nothing is held.
    alone: Duration,
}

impl Disks {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let disk = |id: &str| {
            let image = new_image(&folder.path().join(id), MIB);
            format!("{id}={}", image.display())
        };
        let (vda, vdb) = (disk("vda"), disk("vdb"));
        let mount = Mount::serve(folder, &["--disk", &vda, "--disk", &vdb]);
        let alone = quickest(Duration::MAX, || read_all(&mount.path("vdb")));
        mount.arm("hang op=read max=10m");
        Self { mount, alone }
    }

    fn await_held(&self) {
        eventually("all are held", || {
            self.mount.stat("read_held") == HELD && self.mount.stat("in_flight") == HELD
        });
    }

    fn assert_nobody_waits(&self) {
        let mount = &self.mount;
        let threads = mount.server_status("Threads");
        assert!(threads < THREADS, "{threads} threads");
        for file in ["vda/stats", "vda/rules", "vda/inflight", "disks"] {
            let took = quickest(ANSWER, || drop(mount.read(file)));
            assert!(took < ANSWER, "{file} answers in {took:?}");
        }
        assert_eq!(mount.read("vda/inflight").lines().count() as u64, HELD);
        let limit = 4 * self.alone;
        let took = quickest(limit, || read_all(&mount.path("vdb")));
        assert!(took < limit, "vdb: {took:?}, {:?} alone", self.alone);
    }

    fn release(&self) {
        self.mount.append("vda/release", "all").unwrap();
    }
}

/// A test that fails does not wait for its own held reads.
impl Drop for Disks {
    fn drop(&mut self) {
        self.mount.clear();
    }
}

/// Reads 200 sectors, one at a time.
fn read_all(disk: &Path) {
    let disk = open_direct(disk);
    let mut sector = AlignedSector([0; 512]);
    for number in 0..200 {
        disk.read_exact_at(&mut sector.0, number * 512).unwrap();
    }
}

/// Has fio read `HELD` sectors at once by this engine.
fn assert_engine_is_held_alone(engine: &str) {
    if !has("fio") {
        return;
    }
    let fio = |disk: &Path, requests: u64| {
        let mut fio = Command::new("fio");
        fio.args(["--name=held", "--rw=read", "--bs=512", "--direct=1"])
            .args(["--thread", "--output-format=json"])
            .arg(format!("--ioengine={engine}"))
            .arg(format!("--iodepth={requests}"))
            .arg(format!("--number_ios={requests}"))
            .arg(format!("--size={}", requests * 512))
            .arg(format!("--filename={}", disk.display()));
        fio
    };
    let disks = Disks::new();
    if !run(&mut fio(&disks.mount.path("vdb"), 1)).status.success() {
        return eprintln!("skipped: fio cannot use {engine} here");
    }
    let mut fio = fio(&disks.mount.vda(), HELD);
    let fio = fio.stdin(Stdio::null()).stdout(Stdio::piped());
    let fio = fio.spawn().unwrap();
    disks.await_held();
    disks.assert_nobody_waits();
    disks.release();
    let output = fio.wait_with_output().unwrap();
    assert_ok(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let job = &report["jobs"][0];
    assert_eq!(job["error"], 0);
    assert_eq!(job["read"]["total_ios"], HELD);
    assert_eq!(disks.mount.stat("in_flight"), 0);
}

#[test]
fn reads_of_a_thousand_threads_are_held_and_nobody_waits_for_them() {
    let disks = Disks::new();
    let disk = open_direct(&disks.mount.vda());
    let read = |number| {
        let mut sector = AlignedSector([1; 512]);
        disk.read_exact_at(&mut sector.0, number * 512)?;
        std::io::Result::Ok(sector.0)
    };
    std::thread::scope(|scope| {
        let reader = |number| {
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let spawned = thread.spawn_scoped(scope, move || read(number));
            spawned.unwrap()
        };
        let readers: Vec<_> = (0..HELD).map(reader).collect();
        disks.await_held();
        disks.assert_nobody_waits();
        disks.release();
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap(), [0; 512]);
        }
    });
    assert_eq!(disks.mount.stat("in_flight"), 0);
}

#[test]
fn reads_by_libaio_are_held_a_thousand_at_once_and_nobody_waits_for_them() {
    assert_engine_is_held_alone("libaio");
}

#[test]
fn reads_by_io_uring_are_held_a_thousand_at_once_and_nobody_waits_for_them() {
    assert_engine_is_held_alone("io_uring");
}
