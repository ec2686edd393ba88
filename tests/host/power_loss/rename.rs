//! A new file, renamed over the old one without fsync.

use super::recording::{Found, RECOVER, Recorder, Recording};

/// Exit codes: 0 the file is old, 10 it is new, 1 it is empty or missing, 2 it is something else.
fn states_of_rename(options: &str) -> Option<Found> {
    let script = "echo new > $mnt/file.new; mv $mnt/file.new $mnt/file
        # Another program's fsync commits what the journal has of the rename.
        echo x > $mnt/other; sync $mnt/other";
    let old = [("file", "old\n")];
    let recording = Recording::of_ext4(Recorder::Qemu, &[], options, &old, script)?;
    let check = format!(
        "{RECOVER} case $(debugfs -R 'cat /file' {{}} 2> /dev/null) in
        old) ;;
        new) exit 10 ;;
        '') exit 1 ;;
        *) exit 2 ;;
        esac"
    );
    Some(recording.judged(&check, &[]))
}

#[test]
fn file_renamed_over_another_without_fsync_is_empty_in_some_states_with_noauto_da_alloc() {
    if let Some(found) = states_of_rename("noauto_da_alloc") {
        assert_eq!(Vec::from_iter(&found.codes), [&1, &10], "{}", found.summary);
    }
}

#[test]
fn file_renamed_over_another_without_fsync_is_old_or_new_with_auto_da_alloc() {
    if let Some(found) = states_of_rename("auto_da_alloc") {
        assert_eq!(Vec::from_iter(&found.codes), [&10], "{}", found.summary);
    }
}
