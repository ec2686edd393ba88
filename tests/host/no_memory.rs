//! A server that the system gives no more memory.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use crate::harness::*;
use crate::waiting_readers::cat;

/// Waits until all threads of the server have started, for which they may need memory: each has a name of its own
/// then, and before the name of the one that started it.
fn await_threads(mount: &Mount) {
    let tasks = format!("/proc/{}/task", mount.server());
    let names = || -> Vec<_> {
        let tasks = std::fs::read_dir(&tasks).unwrap().flatten();
        let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().collect()
    };
    let mut alike = (Vec::new(), 0);
    eventually("all threads have started", || {
        let names = names();
        let are_named = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        alike.1 = match are_named && names == alike.0 {
            true => alike.1 + 1,
            false => 0,
        };
        alike.0 = names;
        alike.1 == 100
    });
}

/// Has the server get no more than `more` bytes of address space.
fn allow(mount: &Mount, more: u64) {
    await_threads(mount);
    let most = (mount.server_status("VmSize") << 10) + more;
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &mount.server().to_string()]);
    assert_ok(&run(prlimit.arg(format!("--as={most}"))));
}

#[test]
fn server_without_memory_fails_held_writes_and_goes_on() {
    if !has("fio") || !has("prlimit") {
        return;
    }
    let mount = Mount::of_size(256 * MIB);
    mount.arm("hang op=write tag=stuck");
    allow(&mount, 16 * MIB);
    let mut fio = Command::new("fio");
    fio.args([
        "--name=held",
        "--rw=write",
        "--bs=1m",
        "--direct=1",
        "--ioengine=libaio",
    ]);
    fio.args([
        "--size=256m",
        "--iodepth=256",
        "--continue_on_error=all",
        "--eta=never",
    ]);
    let fio = fio.arg(format!("--filename={}", mount.vda().display()));
    let mut fio = fio
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let failed = || mount.stat("write_errors_host");
    eventually("each is held or has failed", || {
        failed() + mount.stat("in_flight") == 256
    });
    assert!(failed() > 0);
    mount.append("vda/release", "stuck").unwrap();
    fio.wait().unwrap();
    mount.clear();
    let file = open_direct(&mount.vda());
    assert_eq!(
        file.read_at(&mut AlignedSector([0; 512]).0, 0).unwrap(),
        512
    );
    assert_eq!(mount.stat("write_requests"), 256);
}

#[test]
fn server_without_memory_answers_and_goes_on_when_it_needs_another_thread() {
    if !has("prlimit") {
        return;
    }
    for pages in 0..6 {
        let mount = Mount::new();
        allow(&mount, pages * 4096);
        // The thread of streams starts with the first reader.
        let (mut cat, mut output) = cat(&mount, "vda/trace");
        read_sector(&mount, 7).unwrap();
        let line = output.read(&mut [0; 128]);
        assert!(line.is_ok(), "{line:?}");
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert_eq!(mount.stat("read_requests"), 1, "{pages} pages");
    }
}
