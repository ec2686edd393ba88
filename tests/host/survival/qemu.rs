//! QEMU processes that open, close, lock and resize disks, or are killed during their I/O.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use provium::os::process::Process;

use super::scene::Scene;
use crate::harness::*;

/// A QEMU that runs no guest and is told what to do by QMP, with `disk` as its block node `n`.
fn idle_qemu(scene: &Scene, disk: &Path) -> Command {
    let drive = format!(
        "driver=raw,node-name=n,cache.direct=on,file.driver=file,file.filename={}",
        disk.display()
    );
    let mut qemu = scene.command("qemu-system-x86_64");
    qemu.args(["-S", "-nodefaults", "-display", "none"]);
    qemu.args(["-qmp", "stdio", "-blockdev", &drive]);
    qemu
}

/// A QEMU that has the disk as the drive of a device. Returns once the device is there.
fn qemu(scene: &Scene, disk: &Path) -> Child {
    let mut qemu = idle_qemu(scene, disk)
        .args(["-m", "16", "-device", "virtio-blk-pci,drive=n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let commands = br#"{"execute":"qmp_capabilities"}"#;
    qemu.stdin.as_mut().unwrap().write_all(commands).unwrap();
    // It greets while it starts, and answers when it has started.
    let lines = BufReader::new(qemu.stdout.as_mut().unwrap()).lines();
    let answer = lines
        .map(Result::unwrap)
        .find(|line| line.contains("return"));
    assert!(answer.is_some(), "it ended");
    qemu
}

/// A program of QEMU's that writes to `disk` as its drives do, until it is killed.
fn writer(scene: &Scene, disk: &Path) -> Child {
    let mut bench = scene.command("qemu-img");
    bench.args([
        "bench", "-f", "raw", "-t", "none", "-n", "-w", "-d", "8", "-s", "4096",
    ]);
    bench.args(["-c", "100000000"]).arg(disk);
    bench
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn qemu_io(scene: &Scene, disk: &Path) -> std::process::Output {
    let mut qemu_io = scene.command("qemu-io");
    qemu_io.args([
        "-f",
        "raw",
        "-t",
        "none",
        "-n",
        "-c",
        "write -P 7 0 512",
        "-c",
        "read -P 7 0 512",
    ]);
    qemu_io.arg(disk).output().unwrap()
}

fn has_qemu() -> bool {
    has("qemu-system-x86_64") && has("qemu-img")
}

#[test]
fn second_qemu_is_locked_out_until_the_first_is_killed() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    let mount = scene.mount();
    let mut first = qemu(&scene, &mount.vda());
    let second = qemu_io(&scene, &mount.vda());
    assert!(stderr(&second).contains("lock"), "{}", stderr(&second));
    scene.did(&format!("killed QEMU {}, which had the lock", first.id()));
    first.kill().unwrap();
    first.wait().unwrap();
    let second = qemu_io(&scene, &mount.vda());
    assert_ok(&second);
    assert!(!stdout(&second).contains("failed"), "{}", stdout(&second));
    scene.found("the second, which had been kept out, writes and reads");
}

#[test]
fn qemus_that_come_and_go_50_times_leave_nothing_open() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    let mount = scene.mount();
    let descriptors = || {
        let folder = format!("/proc/{}/fd", mount.server());
        std::fs::read_dir(folder).unwrap().count()
    };
    assert_ok(&qemu_io(&scene, &mount.vda()));
    eventually("it is closed", || mount.stat("open_files") == 0);
    let before = descriptors();
    for _ in 0..49 {
        assert_ok(&qemu_io(&scene, &mount.vda()));
    }
    scene.did("opened and closed the disk with 50 QEMUs");
    eventually("all are closed", || mount.stat("open_files") == 0);
    assert_eq!(descriptors(), before);
    scene.found(&format!("nothing open, {before} descriptors as before"));
}

#[test]
fn qemus_killed_on_many_disks_leave_the_server_and_the_others_well() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    let disks: Vec<_> = (0..8)
        .map(|n| format!("d{n}={}", scene.image(&format!("{n}.img"), MIB).display()))
        .collect();
    let disks: Vec<_> = disks.iter().map(String::as_str).collect();
    let mount = scene.serve(&disks);
    let path = |n: usize| mount.path(&format!("d{n}"));
    let stat = |n: usize, key: &str| stat_in(&mount.read(&format!("d{n}/stats")), key);
    for n in 0..4 {
        mount.append(&format!("d{n}/faults"), "slow").unwrap();
    }
    let mut writers: Vec<_> = (0..8).map(|n| writer(&scene, &path(n))).collect();
    eventually("all write", || {
        (0..8).all(|n| stat(n, "write_requests") > 0)
    });
    for n in [0, 1, 4, 5] {
        scene.did(&format!(
            "killed QEMU {} on disk d{n}, with {} requests in flight",
            writers[n].id(),
            stat(n, "in_flight")
        ));
        writers[n].kill().unwrap();
    }
    for n in [0, 1, 4, 5] {
        writers[n].wait().unwrap();
        eventually("its disk is closed", || stat(n, "open_files") == 0);
        eventually("nothing is in flight", || stat(n, "in_flight") == 0);
        mount.append("detach", &format!("d{n}")).unwrap();
    }
    for n in [2, 3, 6, 7] {
        let before = stat(n, "write_requests");
        eventually("the others go on", || stat(n, "write_requests") > before);
    }
    scene.found("their disks were closed and detached; the other four go on writing");
    for n in [2, 3, 6, 7] {
        writers[n].kill().unwrap();
        writers[n].wait().unwrap();
    }
}

#[test]
fn qemu_killed_with_requests_held_is_gone_after_their_release() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    let mount = scene.mount();
    mount.arm("hang op=write");
    let mut qemu = writer(&scene, &mount.vda());
    eventually("its requests are held", || mount.stat("in_flight") == 8);
    scene.did(&format!("killed QEMU {} with 8 requests held", qemu.id()));
    qemu.kill().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let waits = Process::is_running(qemu.id());
    mount.clear();
    qemu.wait().unwrap();
    eventually("the disk is closed", || mount.stat("open_files") == 0);
    scene.found(&format!(
        "it waited for the answers: {waits}; gone once they came"
    ));
}

#[test]
fn qemu_and_server_killed_with_requests_held_are_both_gone() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    for server_first in [true, false] {
        let mut mount = scene.mount();
        mount.arm("hang op=write");
        let mut qemu = writer(&scene, &mount.vda());
        eventually("its requests are held", || mount.stat("in_flight") == 8);
        scene.did(&format!(
            "killed QEMU {} and server {}, the server first: {server_first}",
            qemu.id(),
            mount.server()
        ));
        if server_first {
            mount.kill_server();
            qemu.kill().unwrap();
        } else {
            qemu.kill().unwrap();
            mount.kill_server();
        }
        qemu.wait().unwrap();
        let point = mount.point().display().to_string();
        assert_ok(&scene.provium(&["umount", "--stale", &point]));
        scene.found("both are gone, the mount was stale and is gone");
    }
}

#[test]
fn block_resize_grows_a_disk_and_never_shrinks_it() {
    if !has_qemu() {
        return;
    }
    let scene = Scene::begin();
    let image = scene.image("vda.img", MIB);
    let mount = scene.serve_image(&image);
    let qmp = |size: u64| {
        format!(
            r#"{{"execute":"qmp_capabilities"}}
               {{"execute":"block_resize","arguments":{{"node-name":"n","size":{size}}}}}
               {{"execute":"query-named-block-nodes"}}
               {{"execute":"quit"}}"#
        )
    };
    for (asked, size) in [(2 * MIB, 2 * MIB), (MIB / 2, 2 * MIB)] {
        let commands = scene.path("qmp");
        std::fs::write(&commands, qmp(asked)).unwrap();
        let output = idle_qemu(&scene, &mount.vda())
            .stdin(std::fs::File::open(commands).unwrap())
            .output()
            .unwrap();
        assert_ok(&output);
        let text = stdout(&output);
        assert!(
            text.contains(&format!(r#""virtual-size": {size}"#)),
            "{text}"
        );
        assert_eq!(image.metadata().unwrap().len(), size);
        scene.did(&format!("QEMU resized the disk to {asked}"));
        scene.found(&format!("QEMU and the image have {size} bytes"));
    }
}
