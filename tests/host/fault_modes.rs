//! The three modes `eio_read`, `eio_write` and `slow`, as clients of the data file meet them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::harness::*;

const EIO: i32 = libc::EIO;

fn read(mount: &Mount) -> std::io::Result<usize> {
    open_direct(&mount.vda()).read_at(&mut [0; 512], 0)
}

#[test]
fn eio_read_fails_reads_at_once_and_until_it_is_cleared() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    mount.arm("eio_read");
    assert_eq!(errno(file.read_at(&mut [0; 512], 0)), EIO);
    file.write_all_at(&[1; 512], 0).unwrap();
    mount.clear();
    assert_eq!(file.read_at(&mut [0; 512], 0).unwrap(), 512);
    assert_eq!(mount.stat("read_errors_injected"), 1);
    assert_eq!(mount.stat("read_errors_host"), 0);
}

#[test]
fn eio_write_fails_writes_and_write_zeroes_and_leaves_the_image_as_it_was() {
    let mount = Mount::new();
    let file = OpenOptions::new().write(true).open(mount.vda()).unwrap();
    file.write_all_at(&[7; 4096], 0).unwrap();
    mount.arm("eio_write");
    assert_eq!(errno(file.write_at(&[8; 4096], 0)), EIO);
    let zero = shell("sh", &mount, "fallocate --zero-range -o 0 -l 4096 $m/vda");
    assert!(
        stderr(&zero).contains("Input/output error"),
        "{}",
        stderr(&zero)
    );
    file.sync_all().unwrap();
    assert_ok(&shell(
        "sh",
        &mount,
        "fallocate --punch-hole -o 8192 -l 4096 $m/vda",
    ));
    assert!(
        std::fs::read(mount.image()).unwrap()[..4096]
            .iter()
            .all(|byte| *byte == 7)
    );
}

#[test]
fn fault_on_one_disk_leaves_the_other_alone() {
    let mount = Mount::new();
    let second = new_image(&mount.folder().join("vdb.img"), MIB);
    mount
        .append("attach", &format!("vdb {}", second.display()))
        .unwrap();
    mount.arm("eio_read\nslow");
    assert_eq!(
        open_direct(&mount.path("vdb"))
            .read_at(&mut [0; 512], 0)
            .unwrap(),
        512
    );
    let stats = mount.read("vdb/stats");
    assert_eq!(stat_in(&stats, "read_delayed"), 0);
    assert_eq!(errno(read(&mount)), EIO);
}

#[test]
fn slow_takes_fifty_milliseconds_and_flushes_take_none() {
    let mount = Mount::new();
    mount.arm("slow");
    let started = Instant::now();
    read(&mount).unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(50), "{took:?}");
    let file = OpenOptions::new().write(true).open(mount.vda()).unwrap();
    file.sync_all().unwrap();
    assert_eq!(
        (mount.stat("read_delayed"), mount.stat("flush_delayed")),
        (1, 0)
    );
}

#[test]
fn delayed_reads_take_as_long_as_one_when_64_wait_at_once() {
    let mount = Mount::new();
    mount.arm("delay op=read by=1s");
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| read(&mount).unwrap());
        }
    });
    let took = started.elapsed();
    assert!(took < Duration::from_secs(32), "{took:?}");
    assert_eq!(mount.stat("read_delayed"), 64);
}

#[test]
fn delay_holds_no_threads() {
    let mount = Mount::new();
    mount.arm("delay op=read by=10m");
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| read(&mount).unwrap());
        }
        eventually("all wait", || mount.stat("in_flight") == 200);
        let threads = std::fs::read_dir(format!("/proc/{}/task", mount.server())).unwrap();
        assert!(threads.count() < 50);
        mount.clear();
    });
}

#[test]
fn error_armed_during_a_delayed_read_fires() {
    let mount = Mount::new();
    mount.arm("delay op=read by=10m");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&mount));
        eventually("the read waits", || {
            mount.read("vda/inflight").starts_with("read 0 1 ")
        });
        mount.arm("eio_read");
        // It goes on when its rule is gone.
        mount.arm("!delay op=read by=10m");
        assert_eq!(errno(reader.join().unwrap()), EIO);
    });
}

#[test]
fn clear_lets_a_waiting_read_go_on_at_once() {
    let mount = Mount::new();
    mount.arm("delay op=read by=1m");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (read(&mount), Instant::now()));
        eventually("the read waits", || mount.stat("in_flight") == 1);
        let line = mount.read("vda/inflight");
        assert!(line.ends_with("s delay op=read by=1m\n"), "{line}");
        mount.clear();
        assert_eq!(reader.join().unwrap().0.unwrap(), 512);
        assert_eq!(mount.read("vda/faults"), "");
    });
}
