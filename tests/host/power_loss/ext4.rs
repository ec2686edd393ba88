//! ext4: its journal keeps its promise, and needs barriers for that.

use super::recording::{Found, RECOVER, Recorder, Recording, Scene};
use super::table_says;

/// Folders and files; the first three are durable before the others begin.
const SCRIPT: &str = "for n in 1 2 3 4 5 6; do
    mkdir $mnt/$n; echo $n > $mnt/$n/file
    if [ $n = 3 ]; then sync; fi
done";

/// What e2fsck says of each state.
fn states_of_ext4(scene: Scene<'_>, args: &[&str]) -> Option<Found> {
    let recording = Recording::of_ext4(&Scene {
        script: SCRIPT,
        ..scene
    })?;
    let check = format!("{RECOVER} e2fsck -fn {{}} > /dev/null 2>&1");
    Some(recording.judged(&check, args))
}

#[test]
fn ext4_with_its_journal_and_barriers_has_no_bad_state_in_a_log_of_either_recorder() {
    table_says("ext4 as it comes", "nothing is wrong");
    for recorder in [Recorder::Provium, Recorder::Qemu] {
        let scene = Scene {
            recorder,
            ..Scene::default()
        };
        let Some(found) = states_of_ext4(scene, &[]) else {
            return;
        };
        assert_eq!(found.bad, 0, "{}", found.summary);
        assert!(found.states > 100, "{}", found.summary);
    }
}

#[test]
fn ext4_without_barriers_has_bad_states() {
    table_says(
        "ext4 with `barrier=0`, or without its journal",
        "the file system is damaged",
    );
    let scene = Scene {
        options: "barrier=0",
        ..Scene::default()
    };
    if let Some(found) = states_of_ext4(scene, &["--stop-after", "3"]) {
        assert_eq!(found.bad, 3, "{}", found.summary);
    }
}

#[test]
fn ext4_without_its_journal_has_bad_states() {
    let scene = Scene {
        mkfs: &["-O", "^has_journal"],
        ..Scene::default()
    };
    if let Some(found) = states_of_ext4(scene, &["--stop-after", "3"]) {
        assert_eq!(found.bad, 3, "{}", found.summary);
    }
}
