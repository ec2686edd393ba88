//! Checkpoints of a disk, and scratch disks: from the command line and through the files of a mount.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::harness::*;

/// `provium checkpoint MNT/vda WORDS`.
fn checkpoint(mount: &Mount, words: &[&str]) -> std::process::Output {
    on(mount, "checkpoint", "vda", words)
}

fn write(file: &File, sector: u64, byte: u8) {
    let data = AlignedSector([byte; 512]);
    file.write_all_at(&data.0, sector * 512).unwrap();
}

fn read(file: &File, sector: u64) -> u8 {
    let mut data = AlignedSector([0; 512]);
    file.read_exact_at(&mut data.0, sector * 512).unwrap();
    assert!(data.0.iter().all(|byte| *byte == data.0[0]));
    data.0[0]
}

#[test]
fn checkpoint_is_saved_restored_listed_and_dropped_from_the_command_line() {
    let mut mount = Mount::new();
    let file = open_direct(&mount.vda());
    write(&file, 0, 1);
    assert_ok(&checkpoint(&mount, &["save", "a"]));
    write(&file, 0, 2);
    assert_ok(&checkpoint(&mount, &["save", "b", "--faults"]));
    assert_eq!(stdout(&checkpoint(&mount, &[])), "a\nb\n");
    assert_eq!(
        stdout(&checkpoint(&mount, &["--json"])),
        "[\n  \"a\",\n  \"b\"\n]\n"
    );
    write(&file, 0, 3);
    for (name, byte) in [("a", 1), ("b", 2), ("a", 1)] {
        assert_ok(&checkpoint(&mount, &["restore", name]));
        assert_eq!(read(&file, 0), byte);
    }
    assert_fails(
        &checkpoint(&mount, &["restore", "c"]),
        1,
        &["no checkpoint `c` (saved: a, b)"],
    );
    assert_fails(
        &checkpoint(&mount, &["save", "a"]),
        1,
        &["there is a checkpoint `a` already"],
    );
    assert_fails(
        &checkpoint(&mount, &["save", "a/b"]),
        2,
        &["bad checkpoint name"],
    );
    assert_fails(
        &checkpoint(&mount, &["drop", "a", "--faults"]),
        2,
        &["--faults belongs to save"],
    );
    assert_eq!(
        errno(mount.append("vda/checkpoint", "keep x")),
        libc::EINVAL
    );
    assert_eq!(
        errno(mount.append("vda/checkpoint", "drop x")),
        libc::ENOENT
    );
    assert!(mount.read("error").contains("no checkpoint `x`"));
    write(&file, 0, 4);
    let image = File::open(mount.image()).unwrap();
    assert_eq!(read(&image, 0), 1, "the image is as at the oldest");
    drop(file);
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert_eq!(read(&image, 0), 4, "the end loses nothing");
}

#[test]
fn server_that_is_killed_leaves_the_image_as_at_the_oldest_checkpoint() {
    let mut mount = Mount::new();
    let file = open_direct(&mount.vda());
    write(&file, 0, 1);
    assert_ok(&checkpoint(&mount, &["save", "a"]));
    let before = mount.image().metadata().unwrap();
    write(&file, 0, 2);
    file.sync_all().unwrap();
    mount.kill_server();
    let after = mount.image().metadata().unwrap();
    assert_eq!(
        (after.mtime_nsec(), after.blocks()),
        (before.mtime_nsec(), before.blocks())
    );
    assert_eq!(read(&File::open(mount.image()).unwrap(), 0), 1);
}

#[test]
fn scratch_disk_is_writable_and_leaves_its_image_to_others_unchanged() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    std::fs::write(&image, vec![7; MIB as usize]).unwrap();
    let disk = format!("vda={},scratch", image.display());
    let larger = format!("vdb={},scratch=2M", image.display());
    let mut mounts: Vec<_> = (0..10)
        .map(|_| {
            Mount::serve(
                TempDir::new().unwrap(),
                &["--disk", &disk, "--disk", &larger],
            )
        })
        .collect();
    for (mount, byte) in mounts.iter().zip(20..) {
        let file = open_direct(&mount.vda());
        assert_eq!(read(&file, 9), 7);
        write(&file, 9, byte);
        let larger = open_direct(&mount.path("vdb"));
        assert_eq!((read(&larger, 2047), read(&larger, 2048)), (7, 0));
        write(&larger, 4095, byte);
        assert_eq!(read(&larger, 4095), byte);
        assert!(mount.read("disks").contains(" rw "));
        assert_ok(&checkpoint(mount, &["save", "a"]));
        write(&file, 9, 99);
        assert_ok(&checkpoint(mount, &["restore", "a"]));
        assert_ok(&checkpoint(mount, &["drop", "a"]));
    }
    for (mount, byte) in mounts.iter().zip(20..) {
        assert_eq!(read(&open_direct(&mount.vda()), 9), byte);
    }
    for mount in &mut mounts {
        mount.signal(libc::SIGTERM);
        assert!(mount.wait_for_end().success());
    }
    assert!(std::fs::read(&image).unwrap() == vec![7; MIB as usize]);
}

/// The descriptors, threads and KiB of memory of the server.
fn resources(mount: &Mount) -> [u64; 3] {
    let files = std::fs::read_dir(format!("/proc/{}/fd", mount.server())).unwrap();
    let threads = mount.server_status("Threads");
    [files.count() as u64, threads, mount.server_status("VmRSS")]
}

/// Waits until the server has freed what is in the way of `most` descriptors.
fn settled(mount: &Mount, most: u64) -> [u64; 3] {
    eventually("layers are freed", || resources(mount)[0] <= most);
    resources(mount)
}

#[test]
fn rounds_of_restores_and_of_saves_leave_descriptors_threads_and_memory_flat() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    let run = |text: String| mount.append("vda/checkpoint", &text).unwrap();
    run("save first".into());
    let round = |n: u64| {
        (0..4).for_each(|at| write(&file, (n * 7 + at * 1000) % 32_000, n as u8));
        run(format!("save round-{n}"));
        write(&file, n, 1);
        run(format!(
            "restore {}",
            if n.is_multiple_of(2) {
                "first".into()
            } else {
                format!("round-{n}")
            }
        ));
        run(format!("drop round-{n}"));
    };
    (0..50).for_each(round);
    let most = resources(&mount)[0] + 4;
    let [files, threads, memory] = settled(&mount, most);
    (50..350).for_each(round);
    let after = settled(&mount, most);
    assert!(after[0] <= files + 4, "{files} to {} descriptors", after[0]);
    assert!(after[1] <= threads + 8, "{threads} to {} threads", after[1]);
    assert!(after[2] <= memory + 8192, "{memory} to {} KiB", after[2]);
    run("restore first".into());
    let mut whole = vec![0; 16 * MIB as usize];
    File::open(mount.vda())
        .unwrap()
        .read_exact_at(&mut whole, 0)
        .unwrap();
    assert!(whole.iter().all(|byte| *byte == 0));
}

#[test]
fn killed_server_leaves_no_file_of_a_layer() {
    let runtime = TempDir::new().unwrap();
    std::fs::set_permissions(
        runtime.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    for round in 0..5_u64 {
        let folder = TempDir::new().unwrap();
        let image = new_image(&folder.path().join("vda.img"), 16 * MIB);
        let mut command = std::process::Command::new(PROVIUM);
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
    let mut command = std::process::Command::new("sh");
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
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = provium::os::mounts::unmount(&self.0, true);
    }
}

#[test]
fn page_cache_shows_nothing_of_a_future_that_is_gone() {
    let mount = Mount::of_size(MIB);
    std::fs::write(mount.image(), vec![7; MIB as usize]).unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap();
    let sent = |sector: u64| {
        let to = tempfile::tempfile().unwrap();
        let mut offset = sector * 512;
        let n = rustix::fs::sendfile(&to, &file, Some(&mut offset), 512).unwrap();
        let mut data = vec![0; n];
        to.read_exact_at(&mut data, 0).unwrap();
        data
    };
    mount.append("vda/checkpoint", "save a").unwrap();
    file.write_all_at(&[8; 4096], 0).unwrap();
    // A disk that is longer for a while.
    file.write_all_at(&[9; 4096], MIB).unwrap();
    assert_eq!(file.metadata().unwrap().len(), MIB + 4096);
    assert_eq!([sent(0)[0], sent(2048)[0]], [8, 9]);
    mount.append("vda/checkpoint", "restore a").unwrap();
    assert_eq!(file.metadata().unwrap().len(), MIB);
    assert_eq!(sent(0), vec![7; 512]);
    assert_eq!(sent(2048), Vec::<u8>::new());
    assert_eq!(mount.read("vda/size"), format!("{MIB}\n"));
}

#[test]
fn checkpoints_are_in_the_trace_the_events_and_the_status() {
    let mount = Mount::new();
    let mut events = provium::client::MountClient::open(&mount.point())
        .unwrap()
        .events()
        .unwrap();
    let trace = File::open(mount.ctl("vda/trace")).unwrap();
    for words in ["save a", "save b faults=yes", "restore a", "drop b"] {
        mount.append("vda/checkpoint", words).unwrap();
        let event = events.next().unwrap();
        assert_eq!(
            (event.id, event.what.to_string()),
            ("vda".into(), format!("checkpoint {words}"))
        );
        let mut line = [0; 200];
        let n = std::io::Read::read(&mut &trace, &mut line).unwrap();
        let line = String::from_utf8_lossy(&line[..n]).into_owned();
        assert!(
            line.ends_with(&format!("disk checkpoint {words}\n")),
            "{line}"
        );
    }
    write(&open_direct(&mount.vda()), 0, 1);
    let shown = on(&mount, "status", "", &[]);
    assert!(
        stdout(&shown)
            .contains("vda: it has checkpoints (a); changes take 4.00 KiB in the run-time folder"),
        "{}",
        stdout(&shown)
    );
    let shown: serde_json::Value =
        serde_json::from_str(&stdout(&on(&mount, "status", "", &["--json"]))).unwrap();
    let vda = &shown[0]["disks"][0];
    assert_eq!(
        (&vda["checkpoints"], &vda["layer_bytes"]),
        (&serde_json::json!(["a"]), &serde_json::json!(4096))
    );
    assert_eq!(
        [mount.stat("checkpoints"), mount.stat("layer_bytes")],
        [1, 4096]
    );
}

#[test]
fn disk_with_checkpoints_keeps_its_image_and_its_log_stays_true() {
    let mount = Mount::new();
    mount.append("vda/checkpoint", "save a").unwrap();
    assert_eq!(errno(mount.append("vda/image", "unlock")), libc::EBUSY);
    assert!(
        mount.read("error").contains("drop them first"),
        "{}",
        mount.read("error")
    );
    let log = mount.folder().join("log");
    mount
        .append("vda/log", &format!("start {} base=none", log.display()))
        .unwrap();
    mount.append("vda/checkpoint", "save b").unwrap();
    assert_eq!(
        errno(mount.append("vda/checkpoint", "restore a")),
        libc::EBUSY
    );
    assert!(
        mount.read("error").contains("a log cannot go back"),
        "{}",
        mount.read("error")
    );
    mount.append("vda/log", "stop").unwrap();
    mount.append("vda/checkpoint", "restore a").unwrap();
    write(&open_direct(&mount.vda()), 3, 3);
    eventually("the disk is detached", || {
        mount.append("detach", "vda").is_ok()
    });
    assert_eq!(read(&File::open(mount.image()).unwrap(), 3), 3);
}

#[test]
fn read_only_disk_has_checkpoints_of_its_rules() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mount = Mount::serve(folder, &["--disk", &format!("vda={},ro", image.display())]);
    mount.arm("error op=read times=1");
    mount.append("vda/checkpoint", "save a faults=yes").unwrap();
    for _ in 0..2 {
        assert!(read_sector(&mount, 0).is_err());
        read_sector(&mount, 0).unwrap();
        mount.append("vda/checkpoint", "restore a").unwrap();
    }
    mount.append("vda/checkpoint", "drop a").unwrap();
}

#[test]
fn histories_at_random_through_a_mount_end_as_a_simple_model_says() {
    let seed = std::env::var("PROVIUM_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    let mut random = fastrand::Rng::with_seed(seed);
    for cache in ["off", "volatile"] {
        let mut mount = Mount::of_size(MIB);
        mount.append("vda/cache", cache).unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .open(mount.vda())
            .unwrap();
        let (mut bytes, mut saved) = (vec![0_u8; MIB as usize], Vec::<(u32, Vec<u8>)>::new());
        for step in 0..400_u32 {
            let offset = random.usize(..bytes.len());
            let len = random.usize(1..=(bytes.len() - offset).min(70_000));
            let command = match random.u8(..10) {
                0..4 => {
                    let data = vec![random.u8(1..); len];
                    file.write_all_at(&data, offset as u64).unwrap();
                    bytes[offset..offset + len].copy_from_slice(&data);
                    None
                }
                4 => {
                    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE
                        | rustix::fs::FallocateFlags::KEEP_SIZE;
                    rustix::fs::fallocate(&file, flags, offset as u64, len as u64).unwrap();
                    bytes[offset..offset + len].fill(0);
                    None
                }
                5 => {
                    file.sync_data().unwrap();
                    None
                }
                6 if saved.len() < 5 => {
                    saved.push((step, bytes.clone()));
                    Some(format!("save s{step}"))
                }
                7 | 8 if !saved.is_empty() => {
                    let (name, then) = &saved[random.usize(..saved.len())];
                    bytes.clone_from(then);
                    Some(format!("restore s{name}"))
                }
                9 if !saved.is_empty() => {
                    let (name, _) = saved.remove(random.usize(..saved.len()));
                    Some(format!("drop s{name}"))
                }
                _ => None,
            };
            if let Some(text) = command {
                mount.append("vda/checkpoint", &text).unwrap();
            }
            let mut found = vec![0; bytes.len()];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == bytes, "seed {seed}, step {step}");
        }
        drop(file);
        mount.signal(libc::SIGTERM);
        assert!(mount.wait_for_end().success());
        assert!(
            std::fs::read(mount.image()).unwrap() == bytes,
            "seed {seed}: the image"
        );
    }
}
