//! Unmounting while clients use the mount.

use std::os::unix::fs::FileExt;
use std::process::Output;

use super::host::Tmpfs;
use super::scene::Scene;
use crate::docs::page_says;
use crate::harness::*;

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

fn umount(scene: &Scene, mount: &Mount) -> Output {
    scene.provium(&["umount", &mount.point().display().to_string()])
}

/// Unmounts without provium, as any user may; `-z` does so while files are open.
fn fusermount(scene: &Scene, mount: &Mount, option: &str) -> Output {
    let mut fusermount = scene.command("fusermount3");
    fusermount.arg(option).arg(mount.point()).output().unwrap()
}

#[test]
fn unmount_from_outside_ends_the_server() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    std::fs::read(mount.vda()).unwrap();
    unmount_by(|| fusermount(&scene, &mount, "-u"));
    scene.did("unmounted with fusermount3");
    assert!(mount.wait_for_end().success());
    scene.found("the server has ended well");
}

#[test]
fn lazy_unmount_from_outside_ends_the_server_when_the_last_file_is_closed() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    mount.arm("hang op=read max=10m");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_at(&mut [0; 512], 0));
        eventually("it is held", || mount.stat("in_flight") == 1);
        assert_ok(&fusermount(&scene, &mount, "-uz"));
        scene.did("unmounted lazily with a read held");
        assert_eq!(reader.join().unwrap().unwrap(), 512);
    });
    file.write_all_at(&[5; 512], 0).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert!(mount.wait_for_end().success());
    assert_eq!(std::fs::read(mount.image()).unwrap()[..512], [5; 512]);
    scene.found("the open file was served to its end, then the server ended well");
}

#[test]
fn busy_mount_with_a_file_open_or_a_request_held_stays_as_it_is() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let file = open_direct(&mount.vda());
    assert_fails(
        &umount(&scene, &mount),
        1,
        &[
            "is busy: ",
            &format!(
                "(process {}) has {} open",
                std::process::id(),
                text(&mount.vda())
            ),
            "provium umount --force",
        ],
    );
    mount.arm("hang op=read");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_at(&mut [0; 512], 0));
        eventually("it is held", || mount.stat("in_flight") == 1);
        scene.did("unmounted with a file open and a read held");
        assert_fails(&umount(&scene, &mount), 1, &["is busy"]);
        assert_eq!(mount.stat("in_flight"), 1, "it is still held");
        mount.clear();
        assert_eq!(reader.join().unwrap().unwrap(), 512);
    });
    drop(file);
    assert_ok(&umount(&scene, &mount));
    scene.found("busy, and nothing had changed; free once the file was closed");
}

#[test]
fn mount_that_is_a_working_directory_is_busy_and_ends_by_a_signal() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let mut sleeper = scene.command("sleep");
    let mut sleeper = sleeper
        .arg("60")
        .current_dir(mount.ctl("vda"))
        .spawn()
        .unwrap();
    let refused = umount(&scene, &mount);
    assert_fails(
        &refused,
        1,
        &[
            "is busy: ",
            &format!(
                "sleep (process {}) works in {}",
                sleeper.id(),
                text(&mount.ctl("vda"))
            ),
        ],
    );
    scene.did("sent TERM to the server while a process works in ctl/vda");
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&mount.point()));
    scene.found("the server has ended well, the mount is gone");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn signal_ends_the_server_even_while_files_are_open() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    file.write_all_at(&[3; 512], 0).unwrap();
    scene.did("sent TERM to the server with a file open");
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&mount.point()));
    let error = file.read_at(&mut [0; 512], 0).unwrap_err();
    assert_eq!(std::fs::read(mount.image()).unwrap()[..512], [3; 512]);
    scene.found(&format!(
        "what was written is in the image; the file: {error}"
    ));
}

#[test]
fn signal_releases_the_requests_that_wait() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    mount.arm("delay op=read by=1m");
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| open_direct(&mount.vda()).read_at(&mut [0; 512], 0)))
            .collect();
        eventually("they wait", || mount.stat("in_flight") == 20);
        scene.did("sent TERM to the server with 20 reads delayed by a minute");
        mount.signal(libc::SIGTERM);
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap(), 512);
        }
    });
    assert!(mount.wait_for_end().success());
    scene.found("all 20 were answered, the server has ended well");
}

#[test]
fn underlying_mount_survives_the_end_of_ours() {
    let scene = Scene::begin();
    let image = scene.image("a.img", MIB);
    let point = scene.path("mnt");
    std::fs::create_dir(&point).unwrap();
    let Some(_below) = Tmpfs::at(&point, "size=1m") else {
        return;
    };
    let (place, disk) = (
        point.display().to_string(),
        format!("vda={}", image.display()),
    );
    let still_there = || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(&format!(" {place} ")) && mounts.contains("provium-test")
    };
    for how in ["provium", "umount", "signal"] {
        assert_ok(&scene.provium(&["mount", &place, "--disk", &disk]));
        let status = scene.provium(&["status", &place, "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let server = status[0]["server"].as_u64().unwrap() as u32;
        match how {
            "provium" => assert_ok(&scene.provium(&["umount", &place])),
            "umount" => unmount_by(|| scene.command("umount").arg(&place).output().unwrap()),
            _ => send(server, libc::SIGTERM),
        }
        scene.did(&format!("ended server {server} over a tmpfs by {how}"));
        eventually("the server ends", || {
            !provium::os::process::Process::is_running(server)
        });
        assert!(still_there(), "{how} took the tmpfs away too");
        scene.found("the tmpfs is still there");
    }
}

#[test]
fn loop_device_is_named_as_what_keeps_the_mount_busy() {
    if provium::os::sys::uid() != 0 || !has("losetup") {
        eprintln!("skipped: only root may make loop devices");
        return;
    }
    let scene = Scene::begin();
    let mount = scene.mount();
    let mut losetup = scene.command("losetup");
    let made = losetup.args(["--find", "--show"]).arg(mount.vda()).output();
    let made = made.unwrap();
    if !made.status.success() {
        eprintln!("skipped: no loop device to be had: {}", stderr(&made));
        return;
    }
    let device = stdout(&made).trim().to_owned();
    let refused = umount(&scene, &mount);
    let detach = scene.command("losetup").args(["-d", &device]).output();
    assert_ok(&detach.unwrap());
    let expected = format!("the loop device {device} is on {}", text(&mount.vda()));
    assert_fails(&refused, 1, &["is busy: ", &expected]);
    eventually("the device is gone", || {
        umount(&scene, &mount).status.success()
    });
}

#[test]
fn forced_unmount_releases_held_requests_and_cuts_clients_off() {
    page_says(
        "docs/control-files.md",
        "`provium umount --force MNT` | ends, and its clients get ENOTCONN | are served at once",
    );
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    file.write_all_at(&[3; 512], 0).unwrap();
    mount.arm("hang op=read");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_at(&mut [0; 512], 0));
        eventually("it is held", || mount.stat("in_flight") == 1);
        scene.did("unmounted with --force while a file is open and a read held");
        assert_ok(&scene.provium(&["umount", "--force", &text(&mount.point())]));
        assert_eq!(reader.join().unwrap().unwrap(), 512);
    });
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&mount.point()));
    assert_eq!(errno(file.read_at(&mut [0; 512], 0)), libc::ENOTCONN);
    assert_eq!(std::fs::read(mount.image()).unwrap()[..512], [3; 512]);
    scene.found("the read was answered, the file is cut off, the image has what was written");
}

#[test]
fn lazy_unmount_releases_held_requests_and_leaves_no_faults() {
    page_says(
        "docs/control-files.md",
        "open files are served on, without faults | are served at once",
    );
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    mount.arm("hang op=read max=10m");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_at(&mut [0; 512], 0));
        eventually("it is held", || mount.stat("in_flight") == 1);
        scene.did("unmounted lazily with a read held");
        assert_ok(&fusermount(&scene, &mount, "-uz"));
        assert_eq!(reader.join().unwrap().unwrap(), 512);
    });
    assert_eq!(file.read_at(&mut [0; 512], 0).unwrap(), 512);
    drop(file);
    assert!(mount.wait_for_end().success());
    scene.found("the read was answered, and so was the next one; the server ended with the file");
}
