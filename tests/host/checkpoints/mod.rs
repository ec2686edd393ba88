//! Checkpoints of a disk, and scratch disks: from the command line and through the files of a mount.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::harness::*;

mod histories;
mod limits;

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
