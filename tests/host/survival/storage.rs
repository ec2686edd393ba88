//! Storage that misbehaves under a served disk: full, failing, read-only, truncated, replaced, gone, stuck.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::host::{LoopDevice, Tmpfs};
use super::scene::Scene;
use crate::harness::*;

/// A mount whose image is a disk of another mount: storage that fails when a rule says so.
fn on_failing_storage(scene: &Scene) -> (Mount, Mount) {
    let storage = scene.mount();
    let mount = scene.serve_image(&storage.vda());
    (storage, mount)
}

fn writable(mount: &Mount) -> File {
    let mut options = File::options();
    options.read(true).write(true).open(mount.vda()).unwrap()
}

#[test]
fn storage_error_is_passed_on_counted_apart_and_over_when_it_is_over() {
    let scene = Scene::without_cache();
    for (name, number) in [
        ("ENOSPC", libc::ENOSPC),
        ("EROFS", libc::EROFS),
        ("EIO", libc::EIO),
    ] {
        let (storage, mount) = on_failing_storage(&scene);
        let disk = writable(&mount);
        disk.write_all_at(&[1; 512], 0).unwrap();
        scene.did(&format!("the storage fails with {name}"));
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
        scene.found(&format!(
            "the client got {name}, counted as the host's; well afterwards"
        ));
    }
}

#[test]
fn full_file_system_is_enospc_until_there_is_room() {
    let scene = Scene::without_cache();
    let place = scene.path("small");
    std::fs::create_dir(&place).unwrap();
    let Some(_small) = Tmpfs::at(&place, "size=1m") else {
        return;
    };
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    let image = new_image(&place.join("vda.img"), 4 * MIB);
    let mount = scene.serve_image(&image);
    let disk = writable(&mount);
    let write = |n: u64| disk.write_all_at(&[n as u8 + 1; 4096], n * 4096);
    let full = (0..1024).find(|n| write(*n).is_err()).unwrap();
    scene.did(&format!(
        "filled the file system with {full} blocks of 4 KiB"
    ));
    assert_eq!(errno(write(full)), libc::ENOSPC);
    write(0).unwrap();
    disk.sync_all().unwrap();
    let has = |n: u64| {
        let mut found = [0; 4096];
        disk.read_exact_at(&mut found, n * 4096).unwrap();
        found == [n as u8 + 1; 4096]
    };
    assert!((0..full).all(has));
    std::fs::remove_file(ballast).unwrap();
    // A program that another test starts has the file open until it runs.
    eventually("there is room", || write(full).is_ok());
    assert!((0..=full).all(has));
    scene.found("ENOSPC; what was written is there and can be written again; well with room");
}

#[test]
fn read_only_file_system_is_an_error_in_a_sentence_and_serves_a_read_only_disk() {
    let scene = Scene::begin();
    let place = scene.path("fixed");
    std::fs::create_dir(&place).unwrap();
    let Some(fixed) = Tmpfs::at(&place, "size=1m") else {
        return;
    };
    let image = new_image(&place.join("vda.img"), 4096);
    fixed.change("ro");
    scene.did("the file system of an image became read-only");
    let mount = scene.mount();
    let line = format!("vdb {}", image.display());
    assert_eq!(errno(mount.append("attach", &line)), libc::EROFS);
    let error = mount.read("error");
    assert!(
        error.contains("serve it with `ro` to only read it"),
        "{error}"
    );
    mount.append("attach", &format!("{line} ro")).unwrap();
    assert_eq!(std::fs::read(mount.path("vdb")).unwrap().len(), 4096);
    scene.found(error.trim_end());
}

#[test]
fn file_system_unmounted_lazily_still_serves_its_disk() {
    let scene = Scene::begin();
    let place = scene.path("gone");
    std::fs::create_dir(&place).unwrap();
    let Some(there) = Tmpfs::at(&place, "size=1m") else {
        return;
    };
    let image = new_image(&place.join("vda.img"), 4096);
    let mount = scene.serve_image(&image);
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    scene.did("unmounted the image's file system lazily");
    drop(there);
    disk.write_all_at(&[2; 512], 512).unwrap();
    disk.sync_all().unwrap();
    let mut found = [0; 1024];
    disk.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(found, [[1; 512], [2; 512]].concat()[..]);
    drop(disk);
    mount.append("detach", "vda").unwrap();
    let again = mount.append("attach", &format!("vda {}", image.display()));
    assert_eq!(errno(again), libc::ENOENT);
    scene.found("the disk was served to its detaching, then there was no image");
}

#[test]
fn failing_kernel_device_fails_the_read_or_the_flush() {
    let scene = Scene::begin();
    let storage = scene.mount();
    let Some(device) = LoopDevice::on(&storage.vda()) else {
        return;
    };
    let mount = scene.serve_image(device.path());
    let disk = writable(&mount);
    disk.write_all_at(&[1; 4096], 0).unwrap();
    disk.sync_all().unwrap();
    scene.did(&format!("{} fails", device.path().display()));
    storage.arm("error op=read,write errno=EIO");
    let far = 8 * MIB;
    assert_eq!(errno(disk.read_at(&mut [0; 4096], far)), libc::EIO);
    // The page cache takes the write, so the flush reports the device's error.
    disk.write_all_at(&[2; 4096], 4096).unwrap();
    assert_eq!(errno(disk.sync_all()), libc::EIO);
    storage.clear();
    let errors = (
        mount.stat("read_errors_host"),
        mount.stat("flush_errors_host"),
    );
    assert_eq!(errors, (1, 1));
    disk.write_all_at(&[3; 4096], 4096).unwrap();
    disk.sync_all().unwrap();
    let lies = std::fs::read(storage.image()).unwrap();
    assert_eq!(lies[..8192], [[1; 4096], [3; 4096]].concat());
    scene.found("EIO of the read, EIO of the flush; well afterwards, with what was flushed");
}

#[test]
fn write_beyond_the_hosts_file_size_limit_is_efbig_and_does_not_end_the_server() {
    let scene = Scene::begin();
    let folder = TempDir::new_in(scene.path("")).unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let disk = format!("vda={}", image.display());
    let mut limited = scene.command("prlimit");
    limited.args(["--fsize=1048576", PROVIUM]);
    let mount = Mount::start(limited, folder, &["--disk", &disk]);
    scene.did("wrote past the limit for the size of files");
    let disk = writable(&mount);
    assert_eq!(errno(disk.write_all_at(&[1; 512], MIB)), libc::EFBIG);
    disk.write_all_at(&[1; 512], 0).unwrap();
    scene.found("EFBIG; what lies within is written");
}

#[test]
fn storage_killed_under_a_disk_is_an_error_and_the_server_stays_well() {
    let scene = Scene::without_cache();
    let (mut storage, mount) = on_failing_storage(&scene);
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    scene.did(&format!(
        "killed {}, which serves the image",
        storage.server()
    ));
    storage.kill_server();
    let error = disk.write_all_at(&[2; 512], 0).unwrap_err();
    assert_eq!(mount.stat("write_errors_host"), 1);
    mount.arm("slow");
    mount.clear();
    assert_eq!(std::fs::read(storage.image()).unwrap()[..512], [1; 512]);
    scene.found(&format!(
        "the client got `{error}`; the control files answer"
    ));
}

#[test]
fn storage_and_server_killed_together_free_their_clients() {
    let scene = Scene::begin();
    for storage_first in [true, false] {
        let (mut storage, mut mount) = on_failing_storage(&scene);
        let disk = writable(&mount);
        storage.arm("hang op=read");
        std::thread::scope(|scope| {
            let read = || scope.spawn(|| disk.read_at(&mut [0; 512], 0).is_err());
            let readers: Vec<_> = (0..10).map(|_| read()).collect();
            eventually("they wait in the storage", || {
                storage.stat("in_flight") >= 2
            });
            scene.did(&format!(
                "killed storage {} and server {}, the storage first: {storage_first}",
                storage.server(),
                mount.server()
            ));
            if storage_first {
                storage.kill_server();
                mount.kill_server();
            } else {
                send(mount.server(), libc::SIGKILL);
                storage.kill_server();
                mount.kill_server();
            }
            assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
        });
        scene.found("all ten reads failed, both are gone");
    }
}

#[test]
fn image_truncated_or_extended_is_a_disk_of_that_size() {
    let scene = Scene::begin();
    let path = scene.image("vda.img", MIB);
    let mount = scene.serve_image(&path);
    let image = File::options().write(true).open(&path).unwrap();
    let disk = writable(&mount);
    scene.did("cut the image to 4 KiB, and extended it to 2 MiB");
    image.set_len(4096).unwrap();
    eventually("the disk has the size of its image", || {
        mount.vda().metadata().unwrap().len() == 4096
    });
    assert_eq!(
        disk.read_at(&mut [0; 512], 4096).unwrap(),
        0,
        "the end of the disk"
    );
    assert_eq!(disk.read_at(&mut [0; 1024], 3584).unwrap(), 512);
    image.set_len(2 * MIB).unwrap();
    assert_eq!(disk.read_at(&mut [0; 512], 2 * MIB - 512).unwrap(), 512);
    assert_eq!(mount.read("vda/size"), format!("{}\n", 2 * MIB));
    scene.found("the disk had that size, and its end there");
}

#[test]
fn image_replaced_or_deleted_is_served_unchanged_until_it_is_detached() {
    let scene = Scene::begin();
    let image = scene.image("vda.img", MIB);
    let mount = scene.serve_image(&image);
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    scene.did("replaced the image, then deleted it");
    std::fs::rename(scene.image("other.img", 4096), &image).unwrap();
    let mut found = [0; 512];
    disk.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(found, [1; 512]);
    std::fs::remove_file(&image).unwrap();
    disk.write_all_at(&[2; 512], 512).unwrap();
    disk.sync_all().unwrap();
    drop(disk);
    mount.append("detach", "vda").unwrap();
    let line = format!("vda {}", image.display());
    assert_eq!(errno(mount.append("attach", &line)), libc::ENOENT);
    scene.found("the disk was the first image until it was detached, then there was none");
}

#[test]
fn stuck_storage_keeps_no_control_file_waiting_and_requests_are_done_when_it_returns() {
    let scene = Scene::without_cache();
    let (storage, mount) = on_failing_storage(&scene);
    // Opened beforehand, since opening asks the storage for the size.
    let files: Vec<_> = (0..100).map(|_| writable(&mount)).collect();
    let point = mount.point().display().to_string();
    let status = || {
        let status = scene.provium(&["status", &point]);
        assert!(stdout(&status).contains("16.00 MiB"));
    };
    // On a slow machine the command itself takes long.
    let limit = Duration::from_millis(100);
    let limit = limit.max(5 * quickest(Duration::MAX, status));
    scene.did(&format!(
        "stopped {}, which serves the image",
        storage.server()
    ));
    storage.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let request = |(n, file): (usize, File)| {
            scope.spawn(move || match n % 2 {
                0 => file.read_at(&mut [0; 512], 0).unwrap(),
                _ => file.write_at(&[n as u8; 512], n as u64 * 512).unwrap(),
            })
        };
        let requests: Vec<_> = files.into_iter().enumerate().map(request).collect();
        eventually("requests wait", || mount.stat("in_flight") >= 2);
        let ask = |what: &dyn Fn()| quickest(limit, what);
        let times = [
            ("stats", ask(&|| drop(mount.read("vda/stats")))),
            ("arm", ask(&|| mount.arm("slow"))),
            (
                "faults",
                ask(&|| assert_eq!(mount.read("vda/faults"), "slow\n")),
            ),
            ("clear", ask(&|| mount.clear())),
            (
                "disks",
                ask(&|| assert!(mount.read("disks").starts_with("vda 16777216 rw "))),
            ),
            ("status", ask(&status)),
        ];
        storage.signal(libc::SIGCONT);
        assert!(times.iter().all(|(_, took)| *took < limit), "{times:?}");
        let done = requests
            .into_iter()
            .filter_map(|request| (request.join().unwrap() == 512).then_some(()));
        assert_eq!(done.count(), 100);
        let times = times.map(|(what, took)| format!("{what} {:.1} ms", took.as_secs_f64() * 1e3));
        scene.found(&format!(
            "{}; all 100 requests were done when it went on",
            times.join(", ")
        ));
    });
    let image = std::fs::read(storage.image()).unwrap();
    assert!(
        (1..100)
            .step_by(2)
            .all(|n| image[n * 512..][..512] == [n as u8; 512])
    );
    assert_eq!(
        mount.stat("read_errors_host") + mount.stat("write_errors_host"),
        0
    );
}

const AT_ONCE: Duration = Duration::from_millis(50);

#[test]
fn stuck_storage_with_1000_requests_delays_no_other_disk_and_no_control_file() {
    const STUCK: usize = 1000;
    let scene = Scene::without_cache();
    let storage = scene.mount();
    let disks = [
        format!("vda={}", storage.vda().display()),
        format!("vdb={}", scene.image("b.img", MIB).display()),
    ];
    let mount = scene.serve(&[&disks[0], &disks[1]]);
    let (disk, other) = (writable(&mount), open_direct(&mount.path("vdb")));
    storage.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let request = |n: usize| {
            let disk = &disk;
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let work = move || match n % 2 {
                0 => disk.read_at(&mut [0; 512], 0).unwrap(),
                _ => disk.write_at(&[n as u8; 512], n as u64 * 512).unwrap(),
            };
            thread.spawn_scoped(scope, work).unwrap()
        };
        let requests: Vec<_> = (0..STUCK).map(request).collect();
        eventually("all have arrived", || {
            mount.stat("in_flight") == STUCK as u64
        });
        scene.did(&format!("{STUCK} requests are stuck in stopped storage"));
        assert_eq!(mount.read("vda/inflight").lines().count(), STUCK);
        let read = |file: &'static str| (file, quickest(AT_ONCE, || drop(mount.read(file))));
        let mut times = vec![
            ("a read of the other disk", {
                let mut page = AlignedPage([1; 4096]);
                quickest(AT_ONCE, || other.read_exact_at(&mut page.0, 4096).unwrap())
            }),
            ("stat of the disk", {
                quickest(AT_ONCE, || {
                    assert_eq!(mount.vda().metadata().unwrap().len(), 16 * MIB)
                })
            }),
            ("opening it", quickest(AT_ONCE, || drop(writable(&mount)))),
            ("arm", quickest(AT_ONCE, || mount.arm("slow tag=a"))),
            ("clear", quickest(AT_ONCE, || mount.clear())),
            (
                "release",
                quickest(AT_ONCE, || mount.append("vda/release", "all").unwrap()),
            ),
        ];
        let of_disk = [
            "faults", "rules", "stats", "inflight", "damage", "size", "image", "mode", "seed",
        ];
        for disk in ["vda", "vdb"] {
            let files = of_disk.map(|file| format!("{disk}/{file}"));
            times.extend(files.map(|file| read(file.leak())));
        }
        times.extend(["disks", "error", "version"].map(read));
        assert!(times.iter().all(|(_, took)| *took < AT_ONCE), "{times:?}");
        assert_eq!(mount.read("vda/size"), format!("{}\n", 16 * MIB));
        let threads = mount.server_status("Threads");
        assert!(threads < 64, "{threads}");
        storage.signal(libc::SIGCONT);
        let done = requests.into_iter().map(|request| request.join().unwrap());
        assert_eq!(done.filter(|n| *n == 512).count(), STUCK);
        let slowest = times.iter().max_by_key(|(_, took)| *took).unwrap();
        scene.found(&format!(
            "{threads} threads; the slowest of {} answers: {} in {:.1} ms; all went on with the storage",
            times.len(),
            slowest.0,
            slowest.1.as_secs_f64() * 1e3
        ));
    });
    assert_eq!(mount.stat("in_flight"), 0);
    assert_eq!(
        mount.stat("read_errors_host") + mount.stat("write_errors_host"),
        0
    );
}

#[test]
fn stuck_disks_outnumbering_the_loop_threads_delay_no_other_disk() {
    const HANG: usize = 10;
    let scene = Scene::begin();
    let storage = scene.mount();
    for n in 0..HANG {
        let image = scene.image(&format!("{n}.img"), MIB);
        let line = format!("d{n} {}", image.display());
        storage.append("attach", &line).unwrap();
    }
    let disks = (0..HANG).map(|n| format!("d{n}={}", storage.path(&format!("d{n}")).display()));
    let good = format!("good={}", scene.image("good.img", MIB).display());
    let disks: Vec<_> = disks.chain([good]).collect();
    let disks: Vec<_> = disks.iter().map(String::as_str).collect();
    let mount = scene.serve(&disks);
    let open = |disk: &str| open_direct(&mount.path(disk));
    let hanging: Vec<_> = (0..HANG).map(|n| open(&format!("d{n}"))).collect();
    let good = open("good");
    storage.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let request = |n: usize| {
            let disk = &hanging[n % HANG];
            scope.spawn(move || {
                disk.read_exact_at(&mut AlignedSector([0; 512]).0, 0)
                    .unwrap()
            })
        };
        let requests: Vec<_> = (0..HANG * 20).map(request).collect();
        let in_flight = |n| stat_in(&mount.read(&format!("d{n}/stats")), "in_flight");
        eventually("all have arrived", || (0..HANG).all(|n| in_flight(n) == 20));
        scene.did(&format!("20 requests are stuck below each of {HANG} disks"));
        let took = quickest(AT_ONCE, || {
            good.read_exact_at(&mut AlignedPage([1; 4096]).0, 0)
                .unwrap()
        });
        assert!(took < AT_ONCE, "{took:?}");
        assert!(mount.server_status("Threads") < 64);
        storage.signal(libc::SIGCONT);
        requests
            .into_iter()
            .for_each(|request| request.join().unwrap());
        scene.found(&format!("a read of the next one took {took:?}"));
    });
}

#[test]
fn detached_disk_with_stuck_storage_frees_its_image() {
    let scene = Scene::begin();
    let (storage, mount) = on_failing_storage(&scene);
    let disk = writable(&mount);
    scene.did(&format!(
        "stopped {}, which serves the image, with 20 clients reading, and let it go on",
        storage.server()
    ));
    storage.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        for n in 0..20 {
            let disk = &disk;
            scope.spawn(move || {
                for _ in 0..20 {
                    disk.read_exact_at(&mut [0; 512], n * 512).unwrap();
                }
            });
        }
        eventually("they are on the pool", || mount.stat("in_flight") >= 10);
        storage.signal(libc::SIGCONT);
    });
    drop(disk);
    mount.append("detach", "vda").unwrap();
    let line = format!("vda {}", storage.vda().display());
    mount.append("attach", &line).unwrap();
    scene.found("its image was unlocked when it was detached, and served again");
}

#[test]
fn server_told_to_end_with_stuck_storage_ends_when_that_returns() {
    let scene = Scene::without_cache();
    let (storage, mut mount) = on_failing_storage(&scene);
    let disk = writable(&mount);
    disk.write_all_at(&[1; 512], 0).unwrap();
    storage.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| disk.write_all_at(&[2; 512], 512));
        eventually("it is in the storage", || mount.stat("in_flight") == 1);
        scene.did("sent TERM to the server while its storage is stopped");
        mount.signal(libc::SIGTERM);
        eventually("the mount is gone", || !is_mounted(&mount.point()));
        storage.signal(libc::SIGCONT);
        writer.join().unwrap().unwrap();
    });
    assert!(mount.wait_for_end().success());
    let image = std::fs::read(storage.image()).unwrap();
    assert_eq!(image[..1024], [[1; 512], [2; 512]].concat());
    scene.found("the mount was gone at once; the write was done, the server ended well");
}
