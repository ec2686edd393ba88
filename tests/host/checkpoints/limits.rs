//! Checkpoints when a server is killed, when room runs out, and after many rounds.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{checkpoint, read, write};
use crate::harness::*;

/// How many descriptors the server has.
fn descriptors(mount: &Mount) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", mount.server())).unwrap();
    files.count()
}

#[test]
fn rounds_of_restores_and_of_saves_leave_descriptors_threads_and_memory_flat() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    let run = |text: &str| mount.append("vda/checkpoint", text).unwrap();
    write(&file, 0, 0);
    let threads = mount.server_status("Threads");
    run("save first");
    let round = |n: u64| {
        (0..4).for_each(|at| write(&file, (n * 7 + at * 1000) % 32_000, n as u8));
        run(&format!("save round-{n}"));
        write(&file, n, 1);
        match n.is_multiple_of(2) {
            true => run("restore first"),
            false => run(&format!("restore round-{n}")),
        }
        run(&format!("drop round-{n}"));
    };
    (0..50).for_each(round);
    // By now every thread has its descriptor of the device.
    run("restore first");
    let files = descriptors(&mount);
    let memory = mount.server_status("VmRSS");
    (50..350).for_each(round);
    let after = mount.server_status("VmRSS");
    assert!(after <= memory + 16384, "{memory} to {after} KiB");
    // A pool has up to 32 threads, which end when they have had no work for a while.
    let after = mount.server_status("Threads");
    assert!(after <= threads + 32, "{threads} to {after} threads");
    run("restore first");
    eventually("one layer is left", || descriptors(&mount) <= files);
    let mut whole = vec![0; 16 * MIB as usize];
    let disk = File::open(mount.vda()).unwrap();
    disk.read_exact_at(&mut whole, 0).unwrap();
    assert!(whole.iter().all(|byte| *byte == 0));
}

#[test]
fn killed_server_leaves_no_file_of_a_layer() {
    let runtime = TempDir::new().unwrap();
    std::fs::set_permissions(runtime.path(), PermissionsExt::from_mode(0o700)).unwrap();
    for round in 0..5_u64 {
        let folder = TempDir::new().unwrap();
        let image = new_image(&folder.path().join("vda.img"), 16 * MIB);
        let mut command = Command::new(PROVIUM);
        command.env("XDG_RUNTIME_DIR", runtime.path());
        let disk = format!("vda={}", image.display());
        let mut mount = Mount::start(command, folder, &["--disk", &disk]);
        let file = open_direct(&mount.vda());
        mount.append("vda/checkpoint", "save a").unwrap();
        let ctl = mount.ctl("vda/checkpoint");
        let worker = std::thread::spawn(move || {
            let command = |text: &str| std::fs::write(&ctl, text);
            for n in 0_u64.. {
                let data = AlignedSector([7; 512]);
                let done = file.write_all_at(&data.0, n % 30_000 * 512);
                let done = done
                    .and_then(|()| command("save b"))
                    .and_then(|()| command("restore a"));
                if done.and_then(|()| command("drop b")).is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(20 * (round + 1)));
        mount.kill_server();
        worker.join().unwrap();
        assert!(
            std::fs::read(mount.image())
                .unwrap()
                .iter()
                .all(|byte| *byte == 0)
        );
        let left = runtime.path().join("provium").read_dir().unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(
            left.iter()
                .all(|name| !name.to_string_lossy().contains("layer")),
            "{left:?}"
        );
    }
}

#[test]
fn full_run_time_folder_fails_requests_and_loses_nothing() {
    if !can_isolate() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let runtime = folder.path().join("small");
    std::fs::create_dir(&runtime).unwrap();
    let script = "mount -t tmpfs -o size=2M,mode=0700 none \"$XDG_RUNTIME_DIR\" && exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", PROVIUM])
        .env("XDG_RUNTIME_DIR", &runtime);
    let image = new_image(&folder.path().join("vda.img"), 16 * MIB);
    let log = folder.path().join("log");
    let disk = format!("vda={}", image.display());
    let mut mount = Mount::start(
        command,
        folder,
        &["--disk", &disk, "--log", log.to_str().unwrap()],
    );
    let _unmounted = Unmount(runtime.clone());
    let file = open_direct(&mount.vda());
    write(&file, 0, 1);
    assert_ok(&checkpoint(&mount, &["save", "a"]));
    let page = Box::new(AlignedPage([2; 4096]));
    let written = (0..4096).take_while(|n| file.write_all_at(&page.0, n * 4096).is_ok());
    let written = written.count() as u64;
    assert!((100..600).contains(&written), "{written} pages");
    assert_eq!(mount.stat("write_errors_host"), 1);
    let mut found = Box::new(AlignedPage([0; 4096]));
    for n in 0..written + 1 {
        file.read_exact_at(&mut found.0, n * 4096).unwrap();
        assert_eq!(found.0[0], if n < written { 2 } else { 0 }, "{n}");
    }
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("changes go into the run-time folder"),
        "{said}"
    );
    assert_eq!(read(&File::open(mount.image()).unwrap(), 0), 1);
    // What it holds goes into the image all the same.
    drop(file);
    assert_ok(&checkpoint(&mount, &["drop", "a"]));
    let bytes = std::fs::read(mount.image()).unwrap();
    assert!(
        bytes[..written as usize * 4096]
            .iter()
            .all(|byte| *byte == 2)
    );
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
}

/// Unmounts at the end.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = provium::os::mounts::unmount(&self.0, true);
    }
}

/// A folder for 1 MiB; None where this process may not make one.
fn small(place: &Path) -> Option<Unmount> {
    if !can_isolate() {
        return None;
    }
    std::fs::create_dir(place).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=1M,mode=0700", "none"];
    let made = run(Command::new("mount").args(options).arg(place));
    made.status.success().then(|| Unmount(place.to_owned()))
}

#[test]
fn changes_that_do_not_fit_into_the_image_are_told_of_and_leave_the_checkpoint() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("small");
    let Some(_unmounted) = small(&place) else {
        return;
    };
    let image = new_image(&place.join("vda.img"), 16 * MIB);
    let point = folder.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    let mut command = Command::new(PROVIUM);
    let disk = format!("vda={}", image.display());
    command
        .args(["mount", "--foreground", "--disk", &disk])
        .arg(&point);
    let server = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ctl = point.join("ctl");
    eventually("the mount answers", || ctl.join("version").exists());
    let order = |text: &str| std::fs::write(ctl.join("vda/checkpoint"), text);
    let file = open_direct(&point.join("vda"));
    write(&file, 9, 1);
    order("save a").unwrap();
    let page = Box::new(AlignedPage([2; 4096]));
    (0..512).for_each(|n| file.write_all_at(&page.0, n * 4096).unwrap());
    assert_eq!(errno(order("drop a")), libc::ENOSPC);
    let said = std::fs::read_to_string(ctl.join("error")).unwrap();
    assert!(
        said.contains("cannot be written to its image, so the checkpoint stays"),
        "{said}"
    );
    assert_eq!(read(&file, 9), 2);
    order("save b").unwrap();
    order("restore a").unwrap();
    assert_eq!([read(&file, 9), read(&file, 10)], [1, 0], "it is whole");
    order("restore b").unwrap();
    drop(file);
    let detach = || std::fs::write(ctl.join("detach"), "vda");
    eventually("nobody has it open", || {
        detach().unwrap_err().raw_os_error() != Some(libc::EBUSY)
    });
    assert_eq!(errno(detach()), libc::ENOSPC);
    let said = std::fs::read_to_string(ctl.join("error")).unwrap();
    assert!(
        said.contains("disk `vda` stays attached: what it holds since its checkpoints"),
        "{said}"
    );
    order("restore a").unwrap();
    assert_eq!(read(&open_direct(&point.join("vda")), 9), 1);
    order("restore b").unwrap();
    send(server.id(), libc::SIGTERM);
    let ended = server.wait_with_output().unwrap();
    assert_fails(
        &ended,
        1,
        &["vda: data are lost: what it holds since its checkpoints"],
    );
}

#[test]
fn save_without_a_run_time_folder_says_what_is_missing() {
    let runtime = TempDir::new().unwrap();
    std::fs::set_permissions(runtime.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mut command = Command::new(PROVIUM);
    command.env("XDG_RUNTIME_DIR", runtime.path());
    let disk = format!("vda={}", image.display());
    let mount = Mount::start(command, folder, &["--disk", &disk]);
    let place = runtime.path().join("provium");
    std::fs::remove_dir_all(&place).unwrap();
    assert_eq!(
        errno(mount.append("vda/checkpoint", "save a")),
        libc::ENOENT
    );
    let why = format!(
        "cannot make a file for the changes of the disk in the run-time folder {}: No such file",
        place.display()
    );
    assert!(
        mount.read("error").contains(&why),
        "{}",
        mount.read("error")
    );
    assert_eq!(mount.read("vda/checkpoint"), "");
    write(&open_direct(&mount.vda()), 0, 1);
}
