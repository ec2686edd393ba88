//! The volatile write cache and power cuts, through a mount: what a cut leaves in the image, and what it does not.

mod cut_rules;
mod cuts;
mod evictions;
mod faults;
mod files;
mod histories;
mod kills;
mod model;
mod promises;
mod readers;
mod stuck;
mod wrong_input;

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use provium::protocol::{CutReport, PendingLine, PowerState};

use crate::harness::*;

/// A mount with the disk `vda` of `size` bytes, which has a volatile write cache.
fn cached(size: u64) -> Mount {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), size);
    let disk = format!("vda={},cache=volatile", image.display());
    Mount::serve(folder, &["--disk", &disk])
}

/// A mount with the disks `vda` and `vdb` of 1 MiB, which have these further options, as `,cache=volatile`.
fn two_disks(options: &str) -> Mount {
    let folder = TempDir::new().unwrap();
    let disk = |id: &str| {
        let image = new_image(&folder.path().join(format!("{id}.img")), MIB);
        format!("{id}={}{options}", image.display())
    };
    let (vda, vdb) = (disk("vda"), disk("vdb"));
    Mount::serve(folder, &["--disk", &vda, "--disk", &vdb])
}

/// The image of a disk of [`two_disks`], looked at beside the mount.
fn image_of(mount: &Mount, disk: &str) -> Vec<u8> {
    std::fs::read(mount.folder().join(format!("{disk}.img"))).unwrap()
}

fn image(mount: &Mount) -> Vec<u8> {
    std::fs::read(mount.image()).unwrap()
}

fn open(mount: &Mount, disk: &str) -> std::fs::File {
    let mut options = std::fs::File::options();
    let options = options.read(true).write(true);
    options.open(mount.path(disk)).unwrap()
}

/// `aio.py PATH WORDS`: kernel AIO on a disk.
fn aio(mount: &Mount, disk: &str, words: &[&str]) -> std::process::Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/power/aio.py");
    let mut python = std::process::Command::new("python3");
    python.arg(script).arg(mount.path(disk)).args(words);
    python
}

/// What is pending on `disk`, each as `NUMBER OP SECTOR COUNT`.
fn pending_of(mount: &Mount, disk: &str) -> Vec<String> {
    let text = mount.read(&format!("{disk}/pending"));
    let lines = text.lines().map(|line| {
        let line: PendingLine = line.parse().unwrap();
        let PendingLine {
            number,
            op,
            sector,
            count,
            ..
        } = line;
        format!("{number} {op} {sector} {count}")
    });
    lines.collect()
}

fn pending(mount: &Mount) -> Vec<String> {
    pending_of(mount, "vda")
}

/// Cuts the power of `vda`.
fn cut(mount: &Mount, how: &str) -> CutReport {
    cut_of(mount, "vda", how)
}

fn cut_of(mount: &Mount, disk: &str, how: &str) -> CutReport {
    let file = format!("{disk}/power");
    mount.append(&file, how).unwrap();
    match mount.read(&file).trim_end().parse() {
        Ok(PowerState::Off(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Returns the power of `vda`.
fn power_on(mount: &Mount) {
    mount.append("vda/power", "on").unwrap();
}

/// A stream such as `vda/trace` from now on, read without waiting.
fn stream(mount: &Mount, file: &str) -> std::fs::File {
    let mut options = std::fs::File::options();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(mount.ctl(file)).unwrap()
}

/// The lines of a stream that are there.
fn lines(stream: &mut std::fs::File) -> Vec<String> {
    let mut text = Vec::new();
    let mut part = vec![0; 65536];
    while let Ok(n @ 1..) = stream.read(&mut part) {
        text.extend_from_slice(&part[..n]);
    }
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}
