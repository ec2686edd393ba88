//! `provium record`: where the log and its base are, and what it says at its end.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use provium::storage::write_log::WriteLog;

use crate::harness::*;

/// `provium record MNT/vda WORDS` from the folder of the mount.
fn record(mount: &Mount, words: &[&str]) -> Output {
    let mut command = Command::new(PROVIUM);
    command.arg("record").arg(mount.vda()).args(words);
    run(command.current_dir(mount.folder()))
}

/// The sentence with which a log at `name` begins and ends, without marks and writes.
fn line(mount: &Mount, name: &str, entries: u64) -> String {
    let path = mount.folder().join(name);
    let bytes = (entries + 1) * 512;
    format!("{} entries={entries} bytes={bytes}\n", path.display())
}

#[test]
fn record_begins_shows_and_ends_a_log_beside_its_base() {
    let mount = Mount::new();
    assert_eq!(stdout(&record(&mount, &["a.log"])), "");
    assert_eq!(stdout(&record(&mount, &[])), line(&mount, "a.log", 0));
    assert_ok(&provium(&["mark", mount.vda().to_str().unwrap(), "x"]));
    let ended = record(&mount, &["--stop"]);
    assert_eq!(
        stdout(&ended),
        line(&mount, "a.log", 2),
        "{}",
        stderr(&ended)
    );
    assert_eq!(stdout(&record(&mount, &[])), "off\n");
    let log = WriteLog::open(&mount.folder().join("a.log")).unwrap();
    assert_eq!(log.entries().len(), 2);
    let base = mount.folder().join("a.log.base").metadata().unwrap();
    assert_eq!(base.len(), 16 * MIB);
}

#[test]
fn record_keeps_the_base_where_it_is_told_or_nowhere() {
    let mount = Mount::new();
    let is_there = |name: &str| Path::new(&mount.folder().join(name)).exists();
    for (log, base, kept) in [("a.log", "other", true), ("b.log", "none", false)] {
        assert_ok(&record(&mount, &[log, "--base", base]));
        assert_ok(&record(&mount, &["--stop"]));
        assert!(is_there(log) && !is_there(&format!("{log}.base")));
        assert_eq!(is_there(base), kept);
    }
}

#[test]
fn record_that_cannot_begin_says_why_and_begins_nothing() {
    let mount = Mount::new();
    std::fs::write(mount.folder().join("used"), "x").unwrap();
    assert_fails(&record(&mount, &["used"]), 1, &["used", "exists"]);
    assert_fails(&record(&mount, &["none/a.log"]), 1, &["none/a.log"]);
    assert_fails(&record(&mount, &["mnt/a.log"]), 1, &["mnt/a.log"]);
    assert_eq!(stdout(&record(&mount, &[])), "off\n");
    assert_ok(&record(&mount, &["a.log"]));
    assert_fails(&record(&mount, &["b.log"]), 1, &["a.log: stop it first"]);
    assert_eq!(stdout(&record(&mount, &[])), line(&mount, "a.log", 0));
}

#[test]
fn status_tells_of_a_log() {
    let mount = Mount::new();
    let point = mount.point().display().to_string();
    assert_ok(&record(&mount, &["a.log"]));
    let shown = stdout(&provium(&["status", &point]));
    let log = mount.folder().join("a.log").display().to_string();
    let note = format!("  vda: its writes are logged to {log} (entries=0 bytes=512)\n");
    assert!(shown.contains(&note), "{shown}");
    let json = provium(&["status", &point, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let expected = serde_json::json!({ "path": log, "entries": 0, "bytes": 512, "stopped": null });
    assert_eq!(json[0]["disks"][0]["log"], expected);
    assert_ok(&record(&mount, &["--stop"]));
    assert!(!stdout(&provium(&["status", &point])).contains("logged to"));
}

#[test]
fn log_that_has_ended_by_itself_is_told_of_until_it_is_stopped() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mut server = Command::new("bash");
    // No file may grow beyond 16 KiB.
    server.args(["-c", "ulimit -f 16; exec \"$0\" \"$@\"", PROVIUM]);
    let disk = format!("vda={}", image.display());
    let mount = Mount::start(server, folder, &["--disk", &disk]);
    assert_ok(&record(&mount, &["a.log", "--base", "none"]));
    let file = std::fs::File::options().write(true).open(mount.vda());
    let file = file.unwrap();
    file.write_all_at(&[7; 16384], 0).unwrap();
    // Records are collected until a flush.
    file.sync_data().unwrap();
    let log = mount.folder().join("a.log").display().to_string();
    let why = "File too large (os error 27)";
    let status = stdout(&provium(&["status", &mount.point().display().to_string()]));
    let note = format!("  vda: its log {log} has ended by itself, after entries=0: {why}\n");
    assert!(status.contains(&note), "{status}");
    assert!(stdout(&record(&mount, &[])).ends_with(&format!(" stopped: {why}\n")));
    let stop = record(&mount, &["--stop"]);
    assert_fails(
        &stop,
        1,
        &[&format!("the log {log} had ended by itself: {why}")],
    );
    assert_eq!(stdout(&record(&mount, &[])), "off\n");
}
