//! The server and its own mount, by every path: it serves no file of the mount, and recognises its control files.

use std::path::Path;
use std::process::Command;

use crate::docs::page_says;
use crate::harness::*;

/// The errno with which an `attach` of this path as `vdb` fails.
fn attach(mount: &Mount, path: &Path) -> i32 {
    errno(mount.append("attach", &format!("vdb {}", path.display())))
}

fn assert_own(mount: &Mount, path: &Path) {
    assert_eq!(attach(mount, path), libc::EINVAL, "{}", path.display());
    let text = mount.read("error");
    assert!(text.contains("lies in this mount itself"), "{text}");
}

#[test]
fn file_of_the_mount_itself_is_refused_as_an_image_by_every_path() {
    page_says(
        "docs/control-files.md",
        "also by a bind mount or below a loop device",
    );
    let mount = Mount::new();
    let place = |name: &str| mount.folder().join(name);
    std::os::unix::fs::symlink(mount.vda(), place("link")).unwrap();
    std::os::unix::fs::symlink(mount.point(), place("folder")).unwrap();
    for path in [
        mount.vda(),
        mount.ctl("vda/faults"),
        mount.point().join("none"),
        place("link"),
        place("folder/vda"),
        place("folder/../mnt/ctl/../vda"),
    ] {
        assert_own(&mount, &path);
    }
    let Some(folder) = Bind::make(&mount.point(), &place("bind")) else {
        return;
    };
    let file = Bind::make(&mount.vda(), &place("file")).unwrap();
    assert_own(&mount, &folder.0.join("vda"));
    assert_own(&mount, &file.0);
    let image = new_image(&place("b.img"), MIB);
    assert_eq!(attach_ok(&mount, &image), "vdb");
}

fn attach_ok(mount: &Mount, image: &Path) -> String {
    mount
        .append("attach", &format!("vdb {}", image.display()))
        .unwrap();
    let disks = mount.read("disks");
    disks
        .lines()
        .last()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn loop_device_on_a_disk_of_the_mount_is_refused_as_an_image() {
    page_says("docs/security.md", "a loop device on one of its disks");
    if provium::os::sys::uid() != 0 || !has("losetup") {
        eprintln!("skipped: only root may make loop devices");
        return;
    }
    let mount = Mount::new();
    let made = run(Command::new("losetup")
        .args(["--find", "--show"])
        .arg(mount.vda()));
    if !made.status.success() {
        eprintln!("skipped: no loop device to be had: {}", stderr(&made));
        return;
    }
    let device = stdout(&made).trim().to_owned();
    let refused = std::panic::catch_unwind(|| assert_own(&mount, device.as_ref()));
    assert_ok(&run(Command::new("losetup").args(["-d", &device])));
    assert!(refused.is_ok());
}

#[test]
fn servers_may_serve_from_one_another_in_a_row_and_not_in_a_circle() {
    page_says(
        "docs/control-files.md",
        "an image that lies in another mount which is served from this one",
    );
    let serve = |image: &Path| {
        let disk = format!("vda={}", image.display());
        Mount::serve(TempDir::new().unwrap(), &["--disk", &disk])
    };
    let first = Mount::new();
    let second = serve(&first.vda());
    let third = serve(&second.vda());
    for later in [&second, &third] {
        assert_eq!(attach(&first, &later.vda()), libc::EINVAL);
        let text = first.read("error");
        assert!(text.contains("each would wait for the other"), "{text}");
    }
    assert_eq!(std::fs::read(third.vda()).unwrap().len() as u64, 16 * MIB);
    let other = Mount::new();
    assert_eq!(attach_ok(&first, &other.vda()), "vdb");
    first.append("detach", "vdb").unwrap();
    drop((third, second));
}

#[test]
fn kernel_file_systems_are_refused_as_images() {
    page_says(
        "docs/security.md",
        "files of the kernel itself (in /proc, /sys and their like)",
    );
    page_says(
        "docs/control-files.md",
        "a file of the kernel itself, as in /proc",
    );
    let mount = Mount::new();
    let memory = format!("/proc/{}/mem", mount.server());
    for path in [
        memory.as_str(),
        "/proc/version",
        "/sys/kernel/uevent_seqnum",
    ] {
        assert_eq!(attach(&mount, path.as_ref()), libc::EINVAL);
        assert!(mount.read("error").contains("a file of the kernel's own"));
    }
}

#[test]
fn bind_mounted_faults_file_refuses_a_bad_line_and_clears_with_an_empty_one() {
    let mount = Mount::new();
    let Some(bind) = Bind::make(&mount.point(), &mount.folder().join("bind")) else {
        return;
    };
    let faults = bind.0.join("ctl/vda/faults").display().to_string();
    for shell in ["bash", "dash"] {
        mount.arm("slow");
        let bad = run(Command::new(shell).args(["-c", &format!("echo bogus > {faults}")]));
        assert!(!bad.status.success());
        assert_eq!(mount.read("vda/faults"), "slow\n", "{shell}");
        let empty = run(Command::new(shell).args(["-c", &format!(": > {faults}; cat {faults}")]));
        assert_eq!(stdout(&empty), "", "{shell}");
    }
}

#[test]
fn inherited_faults_file_refuses_a_bad_line() {
    let mount = Mount::new();
    mount.arm("slow");
    // The shell closes its own descriptor before the child writes.
    let script = |line: &str| {
        let closed = mount.folder().join(line).display().to_string();
        format!(
            "mkfifo {closed}; exec 5> $m/ctl/vda/faults; (read it < {closed}; echo {line} >&5) & \
             exec 5>&-; echo it > {closed}; wait"
        )
    };
    shell("bash", &mount, &script("bogus"));
    eventually("the line was rejected", || {
        mount.read("error").contains("bogus")
    });
    assert_eq!(mount.read("vda/faults"), "slow\n");
    assert_ok(&shell("bash", &mount, &script("eio_read")));
    eventually("the next one replaces it", || {
        mount.read("vda/faults") == "eio_read\n"
    });
}

#[test]
fn client_through_a_bind_mount_is_named_as_the_disks_holder() {
    let mount = Mount::new();
    let Some(bind) = Bind::make(&mount.point(), &mount.folder().join("bind")) else {
        return;
    };
    let holders = || {
        let status = provium(&["status", &mount.point().display().to_string(), "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let holders = status[0]["disks"][0]["holders"].as_array().unwrap().clone();
        let numbers = holders.iter().map(|holder| holder["pid"].as_u64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(holders(), [0; 0]);
    let file = std::fs::File::open(bind.0.join("vda")).unwrap();
    assert!(holders().contains(&u64::from(std::process::id())));
    drop(file);
}
