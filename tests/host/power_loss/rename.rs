//! A new file, renamed over the old one without fsync.

use super::recording::{Found, RECOVER, Recording, Scene};
use super::table_says;

/// Exit codes: 0 the file is old, 10 it is new, 1 it is empty or missing, 2 it is something else.
fn states_of_rename(options: &str) -> Option<Found> {
    let recording = Recording::of_ext4(&Scene {
        options,
        files: "echo old > file",
        // Another program's fsync commits what the journal has of the rename.
        script: "echo new > $mnt/file.new; mv $mnt/file.new $mnt/file
            echo x > $mnt/other; sync $mnt/other",
        ..Scene::default()
    })?;
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
    table_says(
        "a new file renamed over the old one without fsync, `noauto_da_alloc`",
        "the file is empty",
    );
    if let Some(found) = states_of_rename("noauto_da_alloc") {
        assert_eq!(Vec::from_iter(&found.codes), [&1, &10], "{}", found.summary);
    }
}

#[test]
fn file_renamed_over_another_without_fsync_is_old_or_new_with_auto_da_alloc() {
    table_says(
        "the same with `auto_da_alloc` (the default)",
        "it is the old or the new one",
    );
    if let Some(found) = states_of_rename("auto_da_alloc") {
        assert_eq!(Vec::from_iter(&found.codes), [&10], "{}", found.summary);
    }
}
