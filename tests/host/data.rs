//! The data path without faults: every client reads what was written.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use provium::os::sys::{seek_data, seek_hole};

use crate::docs::page_says;
use crate::harness::*;

#[test]
fn qemu_io_reads_what_it_wrote_and_its_requests_are_one_sector_long() {
    if !has("qemu-io") {
        return;
    }
    let mount = Mount::new();
    let before = (mount.stat("write_requests"), mount.stat("write_bytes"));
    assert_eq!(before, (0, 0));
    let mut qemu_io = Command::new("qemu-io");
    qemu_io.args(["-t", "none", "-n", "-f", "raw"]);
    qemu_io
        .args(["-c", "write -P 7 512 512", "-c", "read -P 7 512 512"])
        .arg(mount.vda());
    let output = run(&mut qemu_io);
    assert_ok(&output);
    assert!(
        !stdout(&output).contains("verification failed"),
        "{}",
        stdout(&output)
    );
    assert_eq!(mount.stat("write_requests"), 1);
    assert_eq!(mount.stat("write_bytes"), 512);
    let image = std::fs::read(mount.image()).unwrap();
    assert!(image[..512].iter().all(|byte| *byte == 0));
    assert!(image[512..1024].iter().all(|byte| *byte == 7));
    assert!(image[1024..].iter().all(|byte| *byte == 0));
}

#[test]
fn fio_verifies_every_block_that_it_wrote() {
    if !has("fio") {
        return;
    }
    let mount = Mount::of_size(64 * MIB);
    let output = run(Command::new("fio")
        .args([
            "--name=verify",
            "--rw=randrw",
            "--direct=1",
            "--verify=crc32c",
            "--bs=4k",
        ])
        .args([
            "--numjobs=4",
            "--size=16M",
            "--offset_increment=16M",
            "--ioengine=libaio",
        ])
        .args([
            "--iodepth=8",
            "--verify_fatal=1",
            "--group_reporting",
            "--verify_state_save=0",
        ])
        .arg(format!("--filename={}", mount.vda().display()))
        .current_dir(mount.folder()));
    assert_ok(&output);
    assert!(stdout(&output).contains("err= 0"), "{}", stdout(&output));
}

#[test]
fn fio_verifies_blocks_of_any_size_and_offset() {
    if !has("fio") {
        return;
    }
    let mount = Mount::of_size(16 * MIB);
    let mut fio = Command::new("fio");
    fio.args([
        "--name=verify",
        "--rw=write",
        "--direct=0",
        "--verify=crc32c",
    ]);
    fio.args([
        "--bsrange=513-70001",
        "--bs_unaligned=1",
        "--ioengine=psync",
    ]);
    fio.args(["--numjobs=4", "--size=4M", "--offset_increment=4M"]);
    fio.args([
        "--verify_fatal=1",
        "--group_reporting",
        "--verify_state_save=0",
    ]);
    fio.arg(format!("--filename={}", mount.vda().display()));
    let output = run(fio.current_dir(mount.folder()));
    assert_ok(&output);
    assert!(stdout(&output).contains("err= 0"), "{}", stdout(&output));
}

#[test]
fn direct_io_takes_whole_sectors_only() {
    page_says(
        "docs/control-files.md",
        "offsets and lengths must be multiples of 512 (EINVAL otherwise)",
    );
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    assert_eq!(file.read_at(&mut [0; 512], 512).unwrap(), 512);
    assert_eq!(errno(file.read_at(&mut [0; 1], 0)), libc::EINVAL);
    assert_eq!(errno(file.read_at(&mut [0; 512], 1)), libc::EINVAL);
    assert_eq!(errno(file.write_at(&[0; 511], 0)), libc::EINVAL);
    assert_eq!(errno(file.write_at(&[0; 512], 100)), libc::EINVAL);
    assert_eq!(mount.stat("read_requests"), 1, "a refused request is none");
}

#[test]
fn buffered_io_takes_any_offset_and_length() {
    let mount = Mount::new();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap();
    file.write_all_at(b"hello", 1021).unwrap();
    let mut back = [0; 7];
    file.read_exact_at(&mut back, 1020).unwrap();
    assert_eq!(&back, b"\0hello\0");
}

#[test]
fn large_requests_that_the_kernel_splits_arrive_whole() {
    let mount = Mount::new();
    let data: Vec<u8> = (0..5 * MIB + 4096).map(|at| (at / 4096) as u8).collect();
    // The kernel splits at pages of memory, so that the buffer has to be aligned, as for a real disk.
    let data = &data[data.as_ptr().align_offset(4096)..][..5 * MIB as usize];
    let file = open_direct(&mount.vda());
    file.write_all_at(data, 512).unwrap();
    let image = std::fs::read(mount.image()).unwrap();
    assert!(&image[512..512 + data.len()] == data);
    assert_eq!(mount.stat("write_bytes"), data.len() as u64);
}

#[test]
fn concurrent_writes_to_neighbouring_sectors_do_not_mix() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let file = &file;
            scope.spawn(move || {
                for sector in (thread..1024).step_by(8) {
                    file.write_all_at(&[thread as u8 + 1; 512], sector * 512)
                        .unwrap();
                }
            });
        }
    });
    let image = std::fs::read(mount.image()).unwrap();
    for (sector, bytes) in image.chunks(512).take(1024).enumerate() {
        assert!(
            bytes.iter().all(|byte| *byte == sector as u8 % 8 + 1),
            "sector {sector}"
        );
    }
}

#[test]
fn size_of_the_disk_follows_the_image() {
    let mount = Mount::new();
    // A host that is busy answers a moment later, and the size as it was known is right until then.
    let becomes = |size: u64| {
        let image = File::options().write(true).open(mount.image()).unwrap();
        image.set_len(size).unwrap();
        eventually("the disk has the size of its image", || {
            std::fs::metadata(mount.vda()).unwrap().len() == size
        });
        assert_eq!(mount.read("vda/size"), format!("{size}\n"));
    };
    assert_eq!(std::fs::metadata(mount.vda()).unwrap().len(), 16 * MIB);
    becomes(20 * MIB);
    becomes(8 * MIB);
}

#[test]
fn open_with_truncation_erases_the_disk_and_keeps_its_size() {
    let mount = Mount::new();
    std::fs::write(mount.image(), vec![5; 16 * MIB as usize]).unwrap();
    File::create(mount.vda()).unwrap();
    assert!(std::fs::read(mount.image()).unwrap() == vec![0; 16 * MIB as usize]);
    std::fs::write(mount.image(), vec![5; 16 * MIB as usize]).unwrap();
    mount.arm("eio_write");
    assert_eq!(errno(File::create(mount.vda())), libc::EIO);
    assert!(std::fs::read(mount.image()).unwrap() == vec![5; 16 * MIB as usize]);
}

#[test]
fn sparse_image_survives_a_copy_in_and_out() {
    let mount = Mount::new();
    std::fs::write(mount.image(), vec![5; 16 * MIB as usize]).unwrap();
    let source = new_image(&mount.folder().join("source.img"), 16 * MIB);
    let file = OpenOptions::new().write(true).open(&source).unwrap();
    file.write_all_at(b"data", 3 * MIB).unwrap();
    assert_ok(&run(Command::new("cp").arg(&source).arg(mount.vda())));
    assert_ok(&run(Command::new("cmp").arg(&source).arg(mount.image())));
    let copy = mount.folder().join("copy.img");
    assert_ok(&run(Command::new("cp").arg(mount.vda()).arg(&copy)));
    assert_ok(&run(Command::new("cmp").arg(&source).arg(copy)));
}

#[test]
fn discard_and_write_zeroes_reach_the_image() {
    let mount = Mount::new();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap();
    file.write_all_at(&vec![9; 3 * 65536], 0).unwrap();
    file.sync_all().unwrap();
    let blocks = std::fs::metadata(mount.image()).unwrap().blocks();
    fallocate(&mount, "--punch-hole", 0, 65536);
    fallocate(&mount, "--zero-range --keep-size", 131072, 65536);
    let image = std::fs::read(mount.image()).unwrap();
    assert!(image[..65536].iter().all(|byte| *byte == 0));
    assert!(image[65536..131072].iter().all(|byte| *byte == 9));
    assert!(image[131072..196608].iter().all(|byte| *byte == 0));
    assert!(
        std::fs::metadata(mount.image()).unwrap().blocks() < blocks,
        "the hole is real"
    );
    assert_eq!(
        (mount.stat("discard_requests"), mount.stat("zero_requests")),
        (1, 1)
    );
}

fn fallocate(mount: &Mount, how: &str, offset: u64, len: u64) {
    let script = format!("fallocate {how} -o {offset} -l {len} $m/vda");
    assert_ok(&shell("sh", mount, &script));
}

#[test]
fn preallocation_changes_no_content_and_other_modes_are_refused() {
    let mount = Mount::new();
    std::fs::write(mount.image(), vec![5; 16 * MIB as usize]).unwrap();
    fallocate(&mount, "", 0, 65536);
    assert!(
        std::fs::read(mount.image())
            .unwrap()
            .iter()
            .all(|byte| *byte == 5)
    );
    let collapse = shell(
        "sh",
        &mount,
        "fallocate --collapse-range -o 0 -l 65536 $m/vda",
    );
    assert!(
        stderr(&collapse).contains("not supported"),
        "{}",
        stderr(&collapse)
    );
}

#[test]
fn holes_and_data_are_where_the_image_has_them() {
    let mount = Mount::new();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap();
    file.write_all_at(&[1; 65536], MIB).unwrap();
    assert_eq!(seek_data(&file, 0).unwrap(), MIB);
    assert_eq!(seek_hole(&file, MIB).unwrap(), MIB + 65536);
    assert_eq!(errno(seek_data(&file, 2 * MIB)), libc::ENXIO);
}

#[test]
fn read_only_disk_can_be_read_and_not_opened_for_writing() {
    page_says(
        "docs/control-files.md",
        "cannot be opened for writing: EROFS for root, EACCES for an ordinary user",
    );
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mount = Mount::serve(folder, &["--disk", &format!("vda={},ro", image.display())]);
    assert_eq!(std::fs::read(mount.vda()).unwrap().len() as u64, MIB);
    let refused = errno(File::options().write(true).open(mount.vda()));
    assert_eq!(refused, unless_permissions_say(libc::EROFS));
    assert_eq!(mount.read("vda/mode"), "ro\n");
}

#[test]
fn flushed_data_is_in_the_image_when_the_server_is_killed() {
    let mut mount = Mount::new();
    let file = OpenOptions::new().write(true).open(mount.vda()).unwrap();
    for round in 0..50u64 {
        file.write_all_at(&[round as u8; 4096], round * 4096)
            .unwrap();
    }
    file.sync_all().unwrap();
    mount.kill_server();
    let image = std::fs::read(mount.image()).unwrap();
    for round in 0..50 {
        let block = &image[round * 4096..][..4096];
        assert!(
            block.iter().all(|byte| *byte == round as u8),
            "block {round}"
        );
    }
}

#[test]
fn names_in_the_mount_are_neither_created_nor_removed() {
    let mount = Mount::new();
    let refused = unless_permissions_say(libc::EPERM);
    assert_eq!(errno(File::create(mount.path("vdb"))), refused);
    assert_eq!(errno(std::fs::create_dir(mount.path("dir"))), refused);
    assert_eq!(errno(std::fs::remove_file(mount.vda())), refused);
    let renamed = std::fs::rename(mount.vda(), mount.path("vdb"));
    assert_eq!(errno(renamed), refused);
}

/// Tests the server's own answer. For an ordinary user the kernel checks the permissions first.
fn unless_permissions_say(errno: i32) -> i32 {
    if provium::os::sys::uid() == 0 {
        errno
    } else {
        libc::EACCES
    }
}
