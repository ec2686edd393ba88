//! The scripts of docs/databases.md run, and find what the page says.

use std::process::{Command, Output};

use super::examples::{blocks, with_provium_in_path};
use crate::harness::*;
use crate::power_loss::judged;
use crate::python::folder;

/// A folder with the scripts of the page, each under the name in its first line.
fn scripts() -> TempDir {
    let place = TempDir::new().unwrap();
    for script in blocks(&folder("docs/databases.md"), "bash") {
        let name = script.trim_start_matches("# ").split(':').next().unwrap();
        std::fs::write(place.path().join(name), &script).unwrap();
    }
    place
}

/// How many seconds `pg_ctl` waits on a machine that is busy.
const PATIENT: (&str, &str) = ("PGCTLTIMEOUT", "300");

/// Runs a script of the page, in mounts of its own.
fn run_script(place: &TempDir, script: &str, setting: (&str, &str)) -> Output {
    let mut isolated = Command::new("unshare");
    isolated.args(["-m", "bash", "-e", script]);
    isolated.envs([setting, PATIENT]).current_dir(place.path());
    run(with_provium_in_path(&mut isolated))
}

/// Whether loop devices and mounts can be made here. Only a message where they cannot.
fn can_mount_loops() -> bool {
    let script = "truncate -s 1M x && losetup -d $(losetup -f --show x)";
    let place = TempDir::new().unwrap();
    let mut isolated = Command::new("unshare");
    isolated.args(["-m", "bash", "-ec", script]);
    let can = run(isolated.current_dir(place.path())).status.success();
    if !can {
        eprintln!("skipped: no loop devices for this user");
    }
    can
}

/// The exit codes of the bad states of the log that a script has left.
fn verdicts(place: &TempDir, check: &str, args: &[&str]) -> Vec<i64> {
    let check = format!(
        "cd {} && {}={} unshare -m bash {check} {{}} ${{PROVIUM_MARK:-0}}",
        place.path().display(),
        PATIENT.0,
        PATIENT.1
    );
    let log = place.path().join("disk.log");
    let checked = ["--timeout", "5m", "--check", &check];
    let found = judged(&log, &[&checked[..], args].concat());
    assert!(found.states > 0, "{}", found.summary);
    found.codes.into_iter().collect()
}

#[test]
fn sqlite_on_a_loop_device_loses_what_the_page_says() {
    let tools = ["sqlite3", "mkfs.ext4", "losetup", "debugfs"];
    if !tools.into_iter().all(has) || !can_mount_loops() {
        return;
    }
    for (sync, lost) in [("full", &[][..]), ("normal", &[2]), ("off", &[2])] {
        let place = scripts();
        assert_ok(&run_script(&place, "sqlite.sh", ("SYNC", sync)));
        assert_eq!(verdicts(&place, "check-sqlite.sh", &[]), lost, "{sync}");
    }
}

#[test]
fn postgresql_on_a_loop_device_loses_what_the_page_says() {
    // Debian keeps the rest of its programs in a folder for each version.
    if !has("pg_ctlcluster") || !can_mount_loops() {
        return;
    }
    let installed = run(Command::new("sh").args(["-c", "ls -d /usr/lib/postgresql/*/bin"]));
    let installed = stdout(&installed);
    let bin = installed.lines().last().unwrap();
    for (setting, lost) in [("", &[][..]), ("synchronous_commit = off", &[2])] {
        let place = scripts();
        for script in ["postgres.sh", "check-postgres.sh"] {
            let path = place.path().join(script);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, format!("PATH=$PATH:{bin}\n{text}")).unwrap();
        }
        let output = run_script(&place, "postgres.sh", ("SETTING", setting));
        assert_ok(&output);
        let states = [
            "--at",
            "flush",
            "--pick",
            "none",
            "-j",
            "1",
            "--stop-after",
            "1",
        ];
        let found = verdicts(&place, "check-postgres.sh", &states);
        assert_eq!(found, lost, "{setting}");
    }
}
