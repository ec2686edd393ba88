//! How a log ends: with the disk, the server, the room on the host; and that what it has is read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::raw::{Entry, entries, marks};
use super::*;

const END: &str = "dm-log-writes-end";

fn write(mount: &Mount, sector: u64, byte: u8) {
    let disk = File::options().write(true).open(mount.vda()).unwrap();
    disk.write_all_at(&[byte; 512], sector * 512).unwrap();
}

fn sync(mount: &Mount) {
    let disk = File::options().write(true).open(mount.vda()).unwrap();
    disk.sync_all().unwrap();
}

#[test]
fn log_ends_with_a_mark_however_its_disk_ends() {
    type End = fn(&mut Mount);
    let ends: [(&str, End); 3] = [
        ("stop", |mount| stop_log(mount)),
        ("detach", |mount| mount.append("detach", "vda").unwrap()),
        ("the server", |mount| {
            mount.signal(libc::SIGTERM);
            mount.wait_for_end();
        }),
    ];
    for (what, end) in ends {
        let mut mount = Mount::new();
        start_log(&mount, "");
        write(&mount, 3, 7);
        mount.append("vda/mark", "here").unwrap();
        end(&mut mount);
        assert_eq!(marks(&log_of(&mount)), ["here", END], "{what}");
        assert_eq!(entries(&log_of(&mount)).len(), 3, "{what}");
    }
}

#[test]
fn log_of_a_killed_server_is_read_up_to_its_last_flush() {
    for cache in ["off", "volatile"] {
        let mut mount = mount_with(cache, 16 * MIB);
        start_log(&mount, "");
        write(&mount, 0, 1);
        write(&mount, 1, 2);
        sync(&mount);
        write(&mount, 2, 3);
        mount.kill_server();
        let found = entries(&log_of(&mount));
        assert!(matches!(
            found[..],
            [Entry::Write { .. }, Entry::Write { .. }, Entry::Flush]
        ));
        let list = provium(&["states", log_of(&mount).to_str().unwrap(), "--list"]);
        assert_ok(&list);
        // Nothing, either write, both.
        assert_eq!(stdout(&list).lines().count(), 4, "{}", stdout(&list));
    }
}

#[test]
fn log_says_how_far_it_is() {
    let mount = Mount::new();
    assert_eq!(mount.read("vda/log"), "off\n");
    start_log(&mount, "base=none");
    let path = log_of(&mount).display().to_string();
    assert_eq!(
        mount.read("vda/log"),
        format!("{path} entries=0 bytes=512\n")
    );
    write(&mount, 3, 7);
    let expected = format!("{path} entries=1 bytes=1536\n");
    assert_eq!(mount.read("vda/log"), expected);
    stop_log(&mount);
    assert_eq!(mount.read("vda/log"), "off\n");
}

#[test]
fn log_on_a_full_disk_stops_and_requests_go_on() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        let Some(small) = Small::make(&mount.folder().join("small"), 256 << 10) else {
            return;
        };
        let log = small.0.join("disk.log");
        let mut events = File::open(mount.ctl("events")).unwrap();
        let start = format!("start {} base=none", log.display());
        mount.append("vda/log", &start).unwrap();
        for sector in 0..1000 {
            write(&mount, sector, sector as u8);
        }
        sync(&mount);
        let line = mount.read("vda/log");
        let (before, why) = line.trim_end().split_once(" stopped: ").unwrap();
        assert_eq!(why, "No space left on device (os error 28)");
        let found = entries(&log);
        assert!(
            before.contains(&format!("entries={} ", found.len())),
            "{line}"
        );
        assert!(found.len() > 100, "{line}");
        for (at, entry) in found.iter().enumerate() {
            assert!(matches!(entry, Entry::Write { sector, .. } if *sector == at as u64));
        }
        let mut all = vec![0; 512_000];
        let disk = File::open(mount.vda()).unwrap();
        disk.read_exact_at(&mut all, 0).unwrap();
        let mut sectors = all.chunks(512).enumerate();
        assert!(sectors.all(|(at, sector)| sector.iter().all(|byte| *byte == at as u8)));
        let mut told = [0; 4096];
        let len = events.read(&mut told).unwrap();
        let told = String::from_utf8_lossy(&told[..len]);
        let expected = format!(" vda log stopped: {why}\n");
        assert!(
            told.ends_with(&expected) && told.lines().count() == 1,
            "{told}"
        );
        stop_log(&mount);
        assert_eq!(mount.read("vda/log"), "off\n");
        start_log(&mount, "base=none");
        write(&mount, 0, 1);
        stop_log(&mount);
        assert_eq!(entries(&log_of(&mount)).len(), 2);
    }
}
