//! Our log beside that of QEMU's `blklogwrites`, of the same requests.

use std::process::Command;

use super::raw::{Entry, assert_same, entries, replay};
use super::*;

const SIZE: u64 = 400 * MIB;

/// What both are asked to do, around a discard.
const REQUESTS: [&str; 8] = [
    "write -q -P 0x44 0 4k",
    "write -q -P 0x45 2k 4k",
    "flush",
    "write -q -z 8k 64k",
    "write -q -P 0x46 100M 1M",
    "write -q -f -P 0x47 4k 512",
    "write -q -z 99M 2M",
    "write -q -P 0x48 512 512",
];

fn qemu_io(image: &str, discard: &str) {
    let mut command = Command::new("qemu-io");
    command.args(["-n", "-d", "unmap", "--image-opts", image]);
    let (before, after) = REQUESTS.split_at(4);
    for line in [before, &[discard], after].concat() {
        command.args(["-c", line]);
    }
    assert_ok(&run(&mut command));
}

/// The node of a file, which discards what it is told to.
fn node(prefix: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "{prefix}driver=raw,{prefix}discard=unmap,{prefix}file.driver=file,{prefix}file.discard=unmap,{prefix}file.filename={path}"
    )
}

/// An entry without the place of its data; consecutive pieces of a discard as one, consecutive flushes too.
fn effects(log: &Path) -> Vec<(&'static str, u64, u64)> {
    let mut effects: Vec<(&str, u64, u64)> = Vec::new();
    for entry in entries(log) {
        let effect = match entry {
            Entry::Write { sector, count, .. } => ("write", sector, count),
            Entry::Discard { sector, count } => ("discard", sector, count),
            Entry::Flush => ("flush", 0, 0),
            Entry::Mark(_) => continue,
        };
        match effects.last_mut() {
            Some(last) if last.0 == "discard" && effect.0 == "discard" => {
                assert_eq!(last.1 + last.2, effect.1);
                last.2 += effect.2;
            }
            _ => effects.push(effect),
        }
    }
    effects
}

/// The log that QEMU writes, and the image, in `folder`.
fn log_of_qemu(folder: &TempDir, discard: &str) -> (PathBuf, PathBuf) {
    let at = |name: &str| folder.path().join(name);
    let image = new_image(&at("qemu.img"), SIZE);
    let log = new_image(&at("qemu.log"), 0);
    let nodes = [node("file.", &image), node("log.", &log)].join(",");
    let logged = format!("driver=blklogwrites,discard=unmap,{nodes}");
    qemu_io(&logged, discard);
    (log, image)
}

#[test]
fn log_has_the_effect_of_the_one_that_qemu_writes_of_the_same_requests() {
    if !has("qemu-io") {
        return;
    }
    let discard = "discard -q 30M 300M";
    let folder = TempDir::new().unwrap();
    let (log, image) = log_of_qemu(&folder, discard);
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, SIZE);
        start_log(&mount, "");
        qemu_io(&node("", &mount.vda()), discard);
        stop_log(&mount);
        let ours = log_of(&mount);
        assert_eq!(effects(&ours), effects(&log), "{cache}");
        let replayed = new_image(&folder.path().join("replayed.img"), SIZE);
        replay(&log, &replayed);
        assert_same(&replayed, &image);
        replay(&ours, &base_of(&ours));
        assert_same(&base_of(&ours), &replayed);
        std::fs::remove_file(replayed).unwrap();
    }
}

#[test]
fn states_are_those_of_the_log_that_qemu_writes_of_the_same_requests() {
    if !has("qemu-io") {
        return;
    }
    // Of one piece: a longer one may be lost in part.
    let discard = "discard -q 30M 100M";
    let folder = TempDir::new().unwrap();
    let (log, _) = log_of_qemu(&folder, discard);
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, SIZE);
        start_log(&mount, "");
        qemu_io(&node("", &mount.vda()), discard);
        stop_log(&mount);
        let (ours, theirs) = (states(&log_of(&mount)), states(&log));
        assert_eq!(ours, theirs, "{cache}");
        assert!(ours.len() > 8, "{ours:?}");
    }
}

/// The IDs of the states of a log.
fn states(log: &Path) -> Vec<String> {
    let list = provium(&["states", log.to_str().unwrap(), "--base", "none", "--list"]);
    assert_ok(&list);
    stdout(&list).lines().map(str::to_owned).collect()
}
