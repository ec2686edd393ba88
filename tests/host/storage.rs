//! Storage that misbehaves under a served disk: full, failing, read-only, cut, replaced, gone; and a
//! server that runs out of what it needs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use crate::harness::*;

/// A mount whose disk lies in another mount: storage that fails when it is told to.
fn on_failing_storage() -> (Mount, Mount) {
    let storage = Mount::new();
    let disk = format!("vda={}", storage.vda().display());
    let mount = Mount::serve(TempDir::new().unwrap(), &["--disk", &disk]);
    (storage, mount)
}

fn writable(mount: &Mount) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap()
}

#[test]
fn an_error_of_the_storage_is_passed_on_counted_apart_and_over_when_it_is_over() {
    for (name, number) in [
        ("ENOSPC", libc::ENOSPC),
        ("EROFS", libc::EROFS),
        ("EIO", libc::EIO),
    ] {
        let (storage, mount) = on_failing_storage();
        let disk = writable(&mount);
        disk.write_all_at(&[1; 512], 0).unwrap();
        storage.arm(&format!("error op=write,flush errno={name}"));
        assert_eq!(errno(disk.write_all_at(&[2; 512], 0)), number);
        assert_eq!(errno(disk.sync_all()), number);
        let mut found = [0; 512];
        disk.read_exact_at(&mut found, 0).unwrap();
        assert_eq!(found, [1; 512], "what failed was not done");
        assert_eq!(mount.stat("write_errors_host"), 1);
        assert_eq!(mount.stat("write_errors_injected"), 0);
        storage.clear();
        disk.write_all_at(&[2; 512], 0).unwrap();
        disk.sync_all().unwrap();
    }
}

#[test]
fn storage_that_is_killed_under_a_disk_is_an_error_and_the_server_stays_well() {
    let (mut storage, mount) = on_failing_storage();
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    storage.kill_server();
    disk.write_all_at(&[2; 512], 0).unwrap_err();
    assert_eq!(mount.stat("write_errors_host"), 1);
    mount.arm("slow");
    mount.clear();
    assert_eq!(std::fs::read(storage.image()).unwrap()[..512], [1; 512]);
}

#[test]
fn an_image_that_is_cut_or_extended_is_a_disk_of_that_size() {
    let mount = Mount::of_size(MIB);
    let image = File::options().write(true).open(mount.image()).unwrap();
    let disk = writable(&mount);
    image.set_len(4096).unwrap();
    assert_eq!(mount.vda().metadata().unwrap().len(), 4096);
    assert_eq!(
        disk.read_at(&mut [0; 512], 4096).unwrap(),
        0,
        "the end of the disk"
    );
    assert_eq!(disk.read_at(&mut [0; 1024], 3584).unwrap(), 512);
    image.set_len(2 * MIB).unwrap();
    assert_eq!(disk.read_at(&mut [0; 512], 2 * MIB - 512).unwrap(), 512);
    assert_eq!(mount.read("vda/size"), format!("{}\n", 2 * MIB));
}

#[test]
fn an_image_that_is_replaced_or_deleted_stays_what_it_was_until_it_is_detached() {
    let mount = Mount::of_size(MIB);
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    let other = new_image(&mount.folder().join("other.img"), 4096);
    std::fs::rename(&other, mount.image()).unwrap();
    let mut found = [0; 512];
    disk.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(found, [1; 512]);
    std::fs::remove_file(mount.image()).unwrap();
    disk.write_all_at(&[2; 512], 512).unwrap();
    disk.sync_all().unwrap();
    drop(disk);
    mount.append("detach", "vda").unwrap();
    let line = format!("vda {}", mount.image().display());
    assert_eq!(errno(mount.append("attach", &line)), libc::ENOENT);
}

#[test]
fn a_server_that_has_no_descriptor_left_says_so_and_serves_what_it_has() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let point = folder.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    let script = format!(
        "ulimit -n 24; exec {PROVIUM} mount -f {} --disk vda={}",
        point.display(),
        image.display()
    );
    let mut server = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the mount answers", || point.join("ctl/version").exists());
    let attach = |n: usize| {
        let image = new_image(&folder.path().join(format!("{n}.img")), 4096);
        let line = format!("d{n} {}", image.display());
        std::fs::write(point.join("ctl/attach"), line)
    };
    let refused = (0..24)
        .find_map(|n| attach(n).err())
        .expect("there are 24 descriptors in all");
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
    let error = std::fs::read_to_string(point.join("ctl/error")).unwrap();
    assert!(error.contains("Too many open files"), "{error}");
    assert_eq!(std::fs::read(point.join("vda")).unwrap().len() as u64, MIB);
    send(server.id(), libc::SIGTERM);
    assert!(server.wait().unwrap().success());
}

#[test]
fn a_folder_that_somebody_works_in_is_busy_and_is_taken_away_by_a_signal() {
    let mut mount = Mount::new();
    let mut sleeper = Command::new("sleep")
        .arg("60")
        .current_dir(mount.ctl("vda"))
        .spawn()
        .unwrap();
    let umount = provium(&["umount", &mount.point().display().to_string()]);
    assert_fails(&umount, 1, &["is busy", "works in the folder"]);
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&mount.point()));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn qemu_finds_the_new_size_after_block_resize() {
    if !has("qemu-system-x86_64") {
        return;
    }
    let mount = Mount::of_size(MIB);
    let drive = format!(
        "driver=file,node-name=n,filename={},cache.direct=on",
        mount.vda().display()
    );
    let size = 2 * MIB;
    let qmp = format!(
        r#"{{"execute":"qmp_capabilities"}}
           {{"execute":"block_resize","arguments":{{"node-name":"n","size":{size}}}}}
           {{"execute":"query-named-block-nodes"}}
           {{"execute":"quit"}}"#
    );
    std::fs::write(mount.folder().join("qmp"), qmp).unwrap();
    let script = format!(
        "qemu-system-x86_64 -S -nodefaults -display none -qmp stdio -blockdev {drive} < {}",
        mount.folder().join("qmp").display()
    );
    let output = shell("bash", &mount, &script);
    assert_ok(&output);
    assert!(
        stdout(&output).contains(&format!(r#""virtual-size": {size}"#)),
        "{}",
        stdout(&output)
    );
    assert_eq!(mount.image().metadata().unwrap().len(), size);
}
