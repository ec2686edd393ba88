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
