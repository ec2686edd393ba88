//! ext4: its journal keeps its promise, and is needed for it.

use super::recording::{Found, RECOVER, Recorder, Recording};

/// Folders and files; all of the first three are durable before the others begin.
const SCRIPT: &str = "for n in 1 2 3 4 5 6; do
    mkdir $mnt/$n; echo $n > $mnt/$n/file
    if [ $n = 3 ]; then sync; fi
done";

/// What e2fsck says of each state; `-f` first would repair what is broken.
fn states_of_ext4(mkfs: &[&str], options: &str, args: &[&str]) -> Option<Found> {
    let recording = Recording::of_ext4(Recorder::Qemu, mkfs, options, &[], SCRIPT)?;
    let check = format!("{RECOVER} e2fsck -fn {{}} > /dev/null 2>&1");
    Some(recording.judged(&check, args))
}

#[test]
fn ext4_with_its_journal_and_barriers_has_no_bad_state() {
    let Some(found) = states_of_ext4(&[], "defaults", &[]) else {
        return;
    };
    assert_eq!(found.bad, 0, "{}", found.summary);
    assert!(found.states > 100, "{}", found.summary);
}

#[test]
fn ext4_without_barriers_has_bad_states() {
    if let Some(found) = states_of_ext4(&[], "barrier=0", &["--stop-after", "3"]) {
        assert_eq!(found.bad, 3, "{}", found.summary);
    }
}

#[test]
fn ext4_without_its_journal_has_bad_states() {
    let found = states_of_ext4(&["-O", "^has_journal"], "defaults", &["--stop-after", "3"]);
    if let Some(found) = found {
        assert_eq!(found.bad, 3, "{}", found.summary);
    }
}
