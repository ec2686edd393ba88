//! `provium power`, `record` and `mark`, and the options for the write cache and its memory.

use crate::docs::{help_says, page_says};
use crate::harness::*;

/// A mount with the disks `vda` and `vdb`, and these further arguments.
fn two_disks(args: &[&str]) -> Mount {
    let folder = TempDir::new().unwrap();
    let disk = |id: &str| {
        let image = new_image(&folder.path().join(format!("{id}.img")), MIB);
        format!("{id}={}", image.display())
    };
    let (vda, vdb) = (disk("vda"), disk("vdb"));
    let args = [&["--disk", &vda, "--disk", &vdb], args].concat();
    Mount::serve(folder, &args)
}

#[test]
fn power_is_shown_for_one_disk_and_for_all() {
    let mount = two_disks(&[]);
    assert_eq!(stdout(&on(&mount, "power", "vdb", &[])), "vdb on\n");
    assert_eq!(stdout(&on(&mount, "power", "", &[])), "vda on\nvdb on\n");
    let json = stdout(&on(&mount, "power", "", &["--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected =
        serde_json::json!([{ "id": "vda", "power": "on" }, { "id": "vdb", "power": "on" }]);
    assert_eq!(json, expected);
}

#[test]
fn power_takes_a_link_to_the_mount_and_a_relative_path() {
    let mount = two_disks(&[]);
    let link = mount.folder().join("link");
    std::os::unix::fs::symlink(mount.point(), &link).unwrap();
    let from = |folder: &std::path::Path, target: &str| {
        let mut command = std::process::Command::new(PROVIUM);
        stdout(&run(command.args(["power", target]).current_dir(folder)))
    };
    assert_eq!(from(mount.folder(), "link"), "vda on\nvdb on\n");
    assert_eq!(from(mount.folder(), "link/vda"), "vda on\n");
    assert_eq!(from(mount.folder(), "mnt/vda"), "vda on\n");
    assert_eq!(from(&mount.point(), "vda"), "vda on\n");
    assert_eq!(from(&mount.point(), "."), "vda on\nvdb on\n");
}

#[test]
fn power_of_a_wrong_line_or_place_is_explained() {
    let mount = two_disks(&[]);
    for (words, what) in [
        (&["off"][..], "invalid value 'off'"),
        (&["on", "now"], "power expects `cut`"),
        (&["cut", "all"], "`all` is not key=value"),
        (&["cut", "keep=some"], "expects none, all, first=N"),
        (
            &["cut", "bogus=1"],
            "unknown key `bogus` (valid: keep, p, seed",
        ),
    ] {
        assert_fails(&on(&mount, "power", "vda", words), 2, &[what]);
    }
    let unknown = on(&mount, "power", "vdz", &["cut"]);
    assert_fails(&unknown, 1, &["no disk `vdz`", "attached: vda, vdb"]);
    assert_fails(&on(&mount, "power", "ctl", &[]), 2, &["bad disk ID `ctl`"]);
    let folder = mount.folder().display().to_string();
    let nowhere = provium(&["power", &folder, "cut"]);
    assert_fails(&nowhere, 1, &[&folder, "is not a provium mount"]);
    let missing = provium(&["power", "/nowhere/at/all", "cut"]);
    assert_fails(
        &missing,
        1,
        &["neither /nowhere/at/all nor /nowhere/at is a provium mount"],
    );
    assert_eq!(mount.read("power"), "vda on\nvdb on\n");
}

#[test]
fn power_of_a_stopped_server_is_an_error_at_once() {
    let mount = two_disks(&[]);
    mount.signal(libc::SIGSTOP);
    for file in ["", "vda"] {
        let stopped = on(&mount, "power", file, &["cut"]);
        assert_fails(&stopped, 1, &["is stopped", "kill -CONT"]);
    }
}

#[test]
fn mark_is_in_the_trace_of_one_disk_or_of_all() {
    let mount = two_disks(&[]);
    let trace = |id: &str| std::fs::File::open(mount.ctl(&format!("{id}/trace"))).unwrap();
    let (vda, vdb) = (trace("vda"), trace("vdb"));
    assert_ok(&on(&mount, "mark", "vda", &["before", "the rename"]));
    assert_ok(&on(&mount, "mark", "", &["all is written"]));
    let lines = |trace: std::fs::File, count| {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(trace));
        let marks = lines.take(count).map(|line| {
            let line = line.unwrap();
            line.splitn(3, ' ').nth(2).unwrap().to_owned()
        });
        marks.collect::<Vec<_>>()
    };
    assert_eq!(
        lines(vda, 2),
        ["mark before the rename", "mark all is written"]
    );
    assert_eq!(lines(vdb, 1), ["mark all is written"]);
    for bad in [String::new(), "x".repeat(401), "two\nlines".into()] {
        let bad = on(&mount, "mark", "vda", &[&bad]);
        assert_fails(&bad, 2, &["mark expects one line of 1 to 400 bytes"]);
    }
    assert_fails(&on(&mount, "mark", "vda", &[]), 2, &["<TEXT>"]);
}

#[test]
fn record_shows_that_there_is_no_log_and_refuses_what_makes_no_sense() {
    let mount = two_disks(&[]);
    assert_eq!(stdout(&on(&mount, "record", "vda", &[])), "off\n");
    let both = on(&mount, "record", "vda", &["a.log", "--stop"]);
    assert_fails(&both, 2, &["--stop"]);
    let base = on(&mount, "record", "vda", &["--base", "none"]);
    assert_fails(&base, 2, &["PATH"]);
    let all = on(&mount, "record", "", &["a.log"]);
    assert_fails(&all, 1, &["is not a provium mount"]);
    let none = on(&mount, "record", "vda", &["--stop"]);
    assert_fails(&none, 1, &["there is no log to stop"]);
}

#[test]
fn memory_that_is_too_small_or_no_size_is_wrong_usage() {
    page_says(
        "docs/control-files.md",
        "`-o memory=SIZE` says otherwise (1M or more)",
    );
    help_says(
        "mount",
        "memory=SIZE (for all pending and held data together; default: 1G)",
    );
    for bad in ["memory=1023K", "memory=lots", "memory="] {
        let mount = provium(&["mount", "/nowhere", "-o", bad]);
        assert_fails(
            &mount,
            2,
            &[&format!("`{bad}` expects a size of at least 1M")],
        );
    }
    let cache = provium(&["mount", "/nowhere", "-o", "cache=on"]);
    assert_fails(
        &cache,
        2,
        &["unknown mount option `cache=on`", "cache=volatile"],
    );
    let attach = provium(&["attach", "/nowhere", "vda", "a.img", "--cache", "on"]);
    assert_fails(
        &attach,
        2,
        &["invalid value 'on'", "[possible values: off, volatile]"],
    );
}
