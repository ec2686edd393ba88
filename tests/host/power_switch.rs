//! Power cuts from the command line: what `power`, `status` and `top` show of them, and what survives.

use std::os::unix::fs::FileExt;
use std::process::{Command, Output};

use provium::client::MountClient;
use provium::protocol::{CacheMode, DiskEvent, PowerState};
use serde_json::json;

use crate::docs::page_says;
use crate::harness::*;

const PAGE: &str = "docs/power.md";

/// A mount with the disk `vda`, which has a write cache, `vdb`, which has none, and these further arguments.
fn cached(args: &[&str]) -> Mount {
    let folder = TempDir::new().unwrap();
    let disk = |id: &str, options: &str| {
        let image = new_image(&folder.path().join(format!("{id}.img")), 16 * MIB);
        format!("{id}={}{options}", image.display())
    };
    let (vda, vdb) = (disk("vda", ",cache=volatile"), disk("vdb", ""));
    let args = [&["--disk", &vda, "--disk", &vdb], args].concat();
    Mount::serve(folder, &args)
}

fn json_of(output: &Output) -> serde_json::Value {
    assert_ok(output);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Writes `count` sectors of `byte`, each by one request, and returns the open file.
fn write_sectors(mount: &Mount, count: u64, byte: u8) -> std::fs::File {
    let file = open_direct(&mount.vda());
    let data = AlignedSector([byte; 512]);
    (0..count).for_each(|n| file.write_all_at(&data.0, n * 512).unwrap());
    file
}

/// The first bytes of the first sectors of the image.
fn image(mount: &Mount) -> Vec<u8> {
    let image = std::fs::read(mount.image()).unwrap();
    (0..4).map(|n| image[n * 512]).collect()
}

#[test]
fn power_cut_is_shown_with_what_it_kept_and_what_it_lost() {
    page_says(PAGE, "While the power is off, every request fails with EIO");
    let mount = cached(&[]);
    let file = write_sectors(&mount, 3, 7);
    let cut = on(&mount, "power", "", &["cut", "keep=first=1", "seed=9"]);
    let shown = "vda off kept=1 lost=2 seed=9 cut=1\nvdb off kept=0 lost=0 seed=9 cut=1\n";
    assert_eq!(stdout(&cut), shown, "{}", stderr(&cut));
    assert_eq!(image(&mount), [7, 0, 0, 0]);
    assert_eq!(
        errno(file.read_at(&mut AlignedSector([0; 512]).0, 0)),
        libc::EIO
    );
    assert_eq!(stdout(&on(&mount, "power", "", &[])), shown);
    let state = json_of(&on(&mount, "power", "vda", &["--json"]));
    let report = json!({ "kept": 1, "lost": 2, "seed": 9, "cut": 1 });
    assert_eq!(
        state,
        json!([{ "id": "vda", "power": "off", "cut": report }])
    );
    let again = on(&mount, "power", "vda", &["cut"]);
    assert_fails(&again, 1, &["is off already"]);
    let on_again = on(&mount, "power", "", &["on"]);
    assert_ok(&on_again);
    assert_eq!(stdout(&on_again), "");
    assert_eq!(stdout(&on(&mount, "power", "", &[])), "vda on\nvdb on\n");
    assert_fails(&on(&mount, "power", "vda", &["on"]), 1, &["is on already"]);
    let mut sector = AlignedSector([0; 512]);
    file.read_exact_at(&mut sector.0, 0).unwrap();
    assert_eq!(sector.0, [7; 512]);
}

#[test]
fn power_cut_of_one_disk_leaves_the_others_on() {
    page_says(
        PAGE,
        "`provium power mnt/vda cut` cuts the power of one disk",
    );
    let mount = cached(&[]);
    let _file = write_sectors(&mount, 1, 7);
    let cut = stdout(&on(&mount, "power", "vda", &["cut", "keep=all", "seed=1"]));
    assert_eq!(cut, "vda off kept=1 lost=0 seed=1 cut=1\n");
    let states = stdout(&on(&mount, "power", "", &[]));
    assert_eq!(states, format!("{cut}vdb on\n"));
    assert_eq!(image(&mount), [7, 0, 0, 0]);
    std::fs::read(mount.path("vdb")).unwrap();
}

#[test]
fn power_cut_of_a_number_that_is_not_pending_is_wrong_and_changes_nothing() {
    let mount = cached(&[]);
    let _file = write_sectors(&mount, 1, 7);
    let cut = on(&mount, "power", "vda", &["cut", "keep=only=77"]);
    assert_fails(&cut, 2, &["no request with the number 77 is pending"]);
    assert_eq!(mount.read("vda/power"), "on\n");
}

#[test]
fn power_cut_by_chance_shows_a_seed_that_decides_the_same_again() {
    page_says(
        PAGE,
        "The seed decides; a cut without one draws one and shows it",
    );
    let mount = cached(&[]);
    let cut = |words: &[&str]| {
        std::fs::File::options()
            .write(true)
            .open(mount.image())
            .unwrap()
            .write_all_at(&[0; 64 * 512], 0)
            .unwrap();
        let _file = write_sectors(&mount, 64, 7);
        let words = [&["cut", "keep=random"], words].concat();
        let shown = stdout(&on(&mount, "power", "vda", &words));
        let image = std::fs::read(mount.image()).unwrap();
        assert_ok(&on(&mount, "power", "vda", &["on"]));
        let words: Vec<_> = shown.split(' ').map(str::to_owned).collect();
        (words[2..5].to_vec(), image)
    };
    let (first, image) = cut(&[]);
    assert_eq!(cut(&[&first[2]]), (first.clone(), image));
    assert_ne!(cut(&[]).0[2], first[2]);
}

#[test]
fn client_reads_the_events_of_a_cut_and_of_the_power_that_returns() {
    let mount = cached(&[]);
    let client = MountClient::open(&mount.point()).unwrap();
    let mut events = client.events().unwrap();
    let _file = write_sectors(&mount, 2, 7);
    let disk = client.disk("vda").unwrap();
    assert_eq!(disk.cache().unwrap(), CacheMode::Volatile);
    assert_eq!(disk.pending().unwrap().len(), 2);
    disk.switch_power(&"cut seed=3".parse().unwrap()).unwrap();
    let cut = events.next().unwrap();
    let PowerState::Off(report) = disk.power().unwrap() else {
        panic!("it is on");
    };
    assert_eq!(cut.id, "vda");
    assert_eq!(cut.what, DiskEvent::Cut(report, None));
    disk.switch_power(&"on".parse().unwrap()).unwrap();
    assert_eq!(events.next().unwrap().what, DiskEvent::On);
}

#[test]
fn cache_is_an_option_of_a_disk_of_an_attached_one_and_of_all() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("mnt")).unwrap();
    for name in ["a.img", "b.img", "c.img"] {
        new_image(path(name).as_ref(), MIB);
    }
    let from_here = |args: &[&str]| {
        assert_ok(&run(Command::new(PROVIUM)
            .args(args)
            .current_dir(folder.path())));
    };
    let read = |file: &str| std::fs::read_to_string(path(&format!("mnt/ctl/{file}"))).unwrap();
    let caches = || ["vda", "vdb", "vdc"].map(|id| read(&format!("{id}/cache")));
    from_here(&[
        "mount",
        "mnt",
        "--disk",
        "vda=a.img,cache=volatile",
        "-o",
        "memory=2M",
    ]);
    from_here(&["attach", "mnt", "vdb", "b.img", "--cache", "volatile"]);
    from_here(&["attach", "mnt", "vdc", "c.img", "--cache", "off"]);
    let lines = read("disks");
    let limit = stat_in(&read("vda/stats"), "held_bytes_limit");
    let one_each = caches();
    from_here(&["umount", "mnt"]);
    from_here(&[
        "mount",
        "mnt",
        "-o",
        "disk=vda=a.img,disk=vdb=b.img,disk=vdc=c.img,cache=volatile",
    ]);
    let all = caches();
    from_here(&["umount", "mnt"]);
    let expected = format!(
        "vda {MIB} rw {} cache=volatile\nvdb {MIB} rw {} cache=volatile\nvdc {MIB} rw {}\n",
        path("a.img"),
        path("b.img"),
        path("c.img")
    );
    assert_eq!(lines, expected);
    assert_eq!(limit, 2 * MIB);
    assert_eq!(one_each, ["volatile\n", "volatile\n", "off\n"]);
    assert_eq!(all, ["volatile\n"; 3]);
}

#[test]
fn status_shows_pending_data_and_a_power_that_is_off() {
    let mount = cached(&[]);
    let point = mount.point().display().to_string();
    let status = || stdout(&provium(&["status", &point]));
    let _file = write_sectors(&mount, 4, 7);
    let shown = status();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let rows: Vec<_> = shown.lines().skip(1).map(words).collect();
    assert_eq!(
        rows[0][..6],
        ["DISK", "SIZE", "MODE", "OPEN", "WAIT", "PENDING"]
    );
    assert_eq!(
        rows[1][..8],
        [
            "vda",
            "16.00",
            "MiB",
            "rw",
            "cache=volatile",
            "1",
            "0",
            "2.00"
        ]
    );
    assert_eq!(rows[2][..7], ["vdb", "16.00", "MiB", "rw", "0", "0", "-"]);
    assert_ok(&on(&mount, "power", "vda", &["cut", "seed=9"]));
    let note = format!(
        "  vda: the power is off (kept=0 lost=4 seed=9 cut=1); return it with `provium power {point}/vda on`\n"
    );
    let shown = status();
    assert!(shown.contains(&note), "{shown}");
    let json = json_of(&provium(&["status", &point, "--json"]));
    let (vda, vdb) = (&json[0]["disks"][0], &json[0]["disks"][1]);
    assert_eq!(vda["power"], "off");
    assert_eq!(
        vda["cut"],
        json!({ "kept": 0, "lost": 4, "seed": 9, "cut": 1 })
    );
    assert_eq!(
        (&vda["cache"], &vdb["cache"]),
        (&json!("volatile"), &json!("off"))
    );
    assert_eq!((&vdb["power"], &vdb["cut"]), (&json!("on"), &json!(null)));
    assert_eq!(vda["pending_bytes"], 0);
    assert_eq!(vdb["log"], json!(null));
}

#[test]
fn status_and_top_have_no_column_for_pending_data_without_a_cache() {
    let mount = Mount::new();
    let point = mount.point().display().to_string();
    let top = ["top", &point, "--interval", "10ms", "--count", "1"];
    let shown = || [provium(&["status", &point]), provium(&top)].map(|output| stdout(&output));
    for text in shown() {
        assert!(!text.contains("PENDING"), "{text}");
    }
    assert_ok(&on(&mount, "power", "vda", &["cut"]));
    for text in shown() {
        assert!(text.contains("PENDING") && text.contains(" off "), "{text}");
    }
}

#[test]
fn top_shows_pending_bytes_and_a_power_that_is_off() {
    let mount = cached(&[]);
    let point = mount.point().display().to_string();
    let pending = || {
        let top = provium(&["top", &point, "--interval", "10ms", "--count", "1"]);
        let text = stdout(&top);
        let mut lines = text.lines();
        let at = lines.next().unwrap().find("PENDING").unwrap();
        let cell = |line: &str| line[at..at + "PENDING  ".len()].trim().to_owned();
        lines.take(2).map(cell).collect::<Vec<_>>()
    };
    let _file = write_sectors(&mount, 4, 7);
    assert_eq!(pending(), ["2.00 KiB", "-"]);
    assert_ok(&on(&mount, "power", "vdb", &["cut"]));
    assert_eq!(pending(), ["2.00 KiB", "off"]);
}

#[test]
fn status_tells_of_pending_data_that_became_durable_for_want_of_memory() {
    let mount = cached(&["-o", "memory=1M"]);
    let point = mount.point().display().to_string();
    assert_eq!(mount.stat("held_bytes_limit"), MIB);
    let file = std::fs::File::options()
        .write(true)
        .open(mount.vda())
        .unwrap();
    let write = |n: u64| file.write_all_at(&[7; 256 * 1024], n * 256 * 1024).unwrap();
    (0..2).for_each(write);
    assert!(!stdout(&provium(&["status", &point])).contains("for want of memory"));
    (2..8).for_each(write);
    let evicted = mount.stat("evicted_requests");
    page_says(
        PAGE,
        "Beyond it the oldest pending requests become durable early",
    );
    assert!(evicted > 0 && mount.stat("pending_bytes") <= MIB);
    let shown = stdout(&provium(&["status", &point]));
    let note = format!("  vda: {evicted} pending request");
    assert!(
        shown.contains(&note) && shown.contains("for want of memory"),
        "{shown}"
    );
}
