//! Whatever is killed: no stuck process, no stale mount, nothing flushed that is lost.

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use crate::harness::*;

#[test]
fn after_a_killed_server_clients_get_errors_and_umount_stale_cleans_up() {
    let mut mount = Mount::new();
    let file = open_direct(&mount.vda());
    mount.kill_server();
    file.read_at(&mut [0; 512], 0).unwrap_err();
    assert!(is_mounted(&mount.point()));
    let again = provium(&["mount", &mount.point().display().to_string()]);
    assert_fails(&again, 1, &["is stale", "provium umount --stale"]);
    let status = provium(&["status", &mount.point().display().to_string()]);
    assert!(stdout(&status).contains("stale"), "{}", stdout(&status));
    assert_ok(&provium(&[
        "umount",
        "--stale",
        &mount.point().display().to_string(),
    ]));
    assert!(!is_mounted(&mount.point()));
}

#[test]
fn umount_stale_leaves_mounts_that_answer() {
    let mount = Mount::new();
    let point = mount.point().display().to_string();
    assert_fails(
        &provium(&["umount", "--stale", &point]),
        1,
        &["is not stale"],
    );
    assert_ok(&provium(&["umount", "--stale"]));
    assert!(is_mounted(&mount.point()));
}

#[test]
fn a_killed_client_leaves_the_server_well() {
    let mount = Mount::new();
    mount.arm("slow");
    let script = format!(
        "while :; do dd if={} of=/dev/null bs=4096 2>&1; done",
        mount.vda().display()
    );
    for _ in 0..5 {
        let mut client = Command::new("sh")
            .args(["-c", &script])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        eventually("it reads", || mount.stat("in_flight") > 0);
        client.kill().unwrap();
        client.wait().unwrap();
    }
    mount.clear();
    eventually("nothing is left in flight", || mount.stat("in_flight") == 0);
    eventually("nothing is left open", || mount.stat("open_files") == 0);
    assert_eq!(
        open_direct(&mount.vda()).read_at(&mut [0; 512], 0).unwrap(),
        512
    );
}

#[test]
fn a_signal_ends_the_server_even_while_files_are_open() {
    let mut mount = Mount::new();
    let file = open_direct(&mount.vda());
    file.write_all_at(&[3; 512], 0).unwrap();
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&mount.point()));
    file.read_at(&mut [0; 512], 0).unwrap_err();
    assert_eq!(std::fs::read(mount.image()).unwrap()[..512], [3; 512]);
}

#[test]
fn a_signal_lets_go_of_what_waits() {
    let mut mount = Mount::new();
    mount.arm("delay op=read by=1m");
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| open_direct(&mount.vda()).read_at(&mut [0; 512], 0)))
            .collect();
        eventually("they wait", || mount.stat("in_flight") == 20);
        mount.signal(libc::SIGTERM);
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap(), 512);
        }
    });
    assert!(mount.wait_for_end().success());
}

#[test]
fn an_unmount_from_outside_ends_the_server() {
    let mut mount = Mount::new();
    std::fs::read(mount.vda()).unwrap();
    let umount = run(Command::new("umount").arg(mount.point()));
    assert_ok(&umount);
    assert!(mount.wait_for_end().success());
}

#[test]
fn the_mount_that_lies_below_ours_survives_its_end() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("a.img"), MIB);
    let point = folder.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    let (place, disk) = (
        point.display().to_string(),
        format!("vda={}", image.display()),
    );
    let tmpfs = ["-t", "tmpfs", "provium-test", &place];
    if !run(Command::new("mount").args(tmpfs)).status.success() {
        eprintln!("skipped: only root may mount a tmpfs");
        return;
    }
    let still_there = || {
        std::fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .contains("provium-test")
    };
    for how in ["provium", "umount", "signal"] {
        assert_ok(&provium(&["mount", &place, "--disk", &disk]));
        let status = provium(&["status", &place, "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let server = status[0]["server"].as_u64().unwrap() as u32;
        match how {
            "provium" => assert_ok(&provium(&["umount", &place])),
            "umount" => assert_ok(&run(Command::new("umount").arg(&place))),
            _ => send(server, libc::SIGTERM),
        }
        eventually("the server ends", || {
            !provium::sys::Process::is_running(server)
        });
        assert!(still_there(), "{how} took the tmpfs away too");
    }
    assert_ok(&run(Command::new("umount").arg(&place)));
}

#[test]
fn a_stopped_server_goes_on_where_it_was() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    mount.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(&[4; 512], 0));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished());
        mount.signal(libc::SIGCONT);
        assert_eq!(writer.join().unwrap().unwrap(), 512);
    });
}

#[test]
fn a_hundred_mounts_leave_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("a.img"), MIB);
    let point = folder.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    let (point, disk) = (
        point.display().to_string(),
        format!("vda={}", image.display()),
    );
    for _ in 0..100 {
        assert_ok(&provium(&["mount", &point, "--disk", &disk]));
        assert_ok(&provium(&["umount", &point]));
    }
    assert!(!is_mounted(point.as_ref()));
}

#[test]
fn a_thousand_disks_come_and_go_and_the_server_has_grown_by_nothing() {
    let mount = Mount::new();
    let image = new_image(&mount.folder().join("vdb.img"), MIB);
    let cycle = |times| {
        for _ in 0..times {
            mount
                .append("attach", &format!("vdb {}", image.display()))
                .unwrap();
            mount.append("vdb/faults", "eio_write at=9+1").unwrap();
            assert_eq!(std::fs::read(mount.path("vdb")).unwrap().len() as u64, MIB);
            mount.append("detach", "vdb").unwrap();
        }
    };
    let count = |folder: &str| {
        let folder = format!("/proc/{}/{folder}", mount.server());
        std::fs::read_dir(folder).unwrap().count()
    };
    cycle(100);
    let (descriptors, memory) = (count("fd"), mount.server_status("VmRSS"));
    cycle(900);
    assert_eq!(count("fd"), descriptors);
    assert!(
        count("task") < 20,
        "threads end when they have nothing to do"
    );
    let grown = mount.server_status("VmRSS").saturating_sub(memory);
    // A disk that stays takes 100 KiB; freed memory in pieces is no leak.
    assert!(grown < 8 * 1024, "{grown} KiB");
}
