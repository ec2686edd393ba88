//! A program that appends records to a file and acknowledges each.

use super::recording::{Found, RECOVER, Recording, Scene};
use super::{acknowledged, table_says};

/// A record lies in two sectors at least.
const RECORD: &str = "printf 'record %04d %0600d\\n' $n $n";

/// The states from before the first record to the last acknowledgement. Mounting and unmounting write the superblock,
/// whose two sectors ext4 takes for one: `--tear 1` would break it there. Exit code 1: an acknowledged record is lost.
fn states_of_log(sync: &str, args: &[&str]) -> Option<Found> {
    let last = acknowledged().to_string();
    let script = format!(
        "echo 0 > $mark
        for n in $(seq {last}); do {RECORD} >> $mnt/log; {sync}; echo $n > $mark; done"
    );
    let recording = Recording::of_ext4(&Scene {
        script: &script,
        ..Scene::default()
    })?;
    let check = format!(
        "{RECOVER} want=$(for n in $(seq $PROVIUM_MARK); do {RECORD}; done)
        test \"$want\" = \"$(debugfs -R 'cat /log' {{}} 2> /dev/null | head -c ${{#want}})\""
    );
    let window = ["--from", "0", "--to", &last];
    Some(recording.judged(&check, &[&window[..], args].concat()))
}

#[test]
fn records_that_are_acknowledged_without_fsync_are_lost_in_some_states() {
    table_says(
        "records appended and acknowledged without fsync",
        "acknowledged records are missing",
    );
    if let Some(found) = states_of_log(":", &[]) {
        assert_eq!(Vec::from_iter(&found.codes), [&1], "{}", found.summary);
    }
}

#[test]
fn records_that_are_acknowledged_after_fdatasync_are_in_all_states() {
    table_says(
        "the same after fdatasync, also with `--tear 1`",
        "none is missing",
    );
    for args in [&[][..], &["--tear", "1"]] {
        let Some(found) = states_of_log("sync -d $mnt/log", args) else {
            return;
        };
        assert_eq!(found.bad, 0, "{args:?}: {}", found.summary);
        assert!(found.states > 10, "{args:?}: {}", found.summary);
    }
}
