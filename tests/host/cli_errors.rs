//! What the command line says of a path that is not what a command is for.

use crate::harness::*;

#[test]
fn path_within_a_mount_is_not_taken_for_a_mount() {
    let mount = Mount::new();
    let point = mount.point().display().to_string();
    for (command, file, words, says) in [
        (
            "status",
            "vda",
            &[][..],
            format!("is in the mount {point}: name the mount itself"),
        ),
        (
            "top",
            "vda",
            &[],
            format!("is in the mount {point}: name the mount itself"),
        ),
        (
            "umount",
            "vda",
            &[],
            format!("is in the mount {point}: name the mount itself"),
        ),
        (
            "top",
            "ctl",
            &[],
            format!("holds the control files of the mount {point}"),
        ),
        (
            "fault",
            "ctl/vda",
            &[],
            format!("holds the control files of the mount {point}"),
        ),
        (
            "fault",
            "ctl/vda/faults",
            &["slow"],
            format!("is a control file: name the mount, {point}, or the disk, {point}/vda"),
        ),
    ] {
        let output = on(&mount, command, file, words);
        assert_fails(&output, 1, &[&says]);
        assert!(
            !stderr(&output).contains("start one with"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn missing_mount_is_named_with_those_that_are_there() {
    let mount = Mount::new();
    let folder = mount.folder().display().to_string();
    let missing = format!("{folder}/no-such-mount");
    let not_one = format!("{missing} is not a provium mount");
    let neither = format!("neither {missing}/vda nor {missing} is a provium mount");
    for (command, path, says) in [
        ("top", missing.clone(), &not_one),
        ("detach", missing.clone(), &not_one),
        ("power", format!("{missing}/vda"), &neither),
        ("fault", format!("{missing}/vda"), &neither),
        (
            "fault",
            folder.clone(),
            &format!("{folder} is not a provium mount"),
        ),
    ] {
        let id = ["vda"].into_iter().filter(|_| command == "detach");
        let words: Vec<_> = [command, &path].into_iter().chain(id).collect();
        let output = provium(&words);
        assert_fails(
            &output,
            1,
            &[says, "start one with `provium mount", "(mounted: "],
        );
    }
}

#[test]
fn missing_disk_is_named_with_the_nearest_of_several() {
    let mount = Mount::new();
    let one = on(&mount, "fault", "vdaa", &[]);
    assert_fails(&one, 1, &["no disk `vdaa`", "mnt (attached: vda)"]);
    let second = new_image(&mount.folder().join("data.img"), MIB);
    mount
        .append("attach", &format!("data {}", second.display()))
        .unwrap();
    for (given, meant) in [("vdaa", "vda"), ("dat", "data")] {
        let output = on(&mount, "fault", given, &[]);
        assert_fails(
            &output,
            1,
            &[&format!("; did you mean `{meant}`? (attached: vda, data)")],
        );
    }
    let far = on(&mount, "fault", "zzz", &[]);
    assert!(!stderr(&far).contains("did you mean"), "{}", stderr(&far));
}

#[test]
fn dead_mount_is_named_as_such_by_each_command() {
    let mut mount = Mount::new();
    mount.kill_server();
    for (command, file, words) in [
        ("fault", "vda", &[][..]),
        ("fault", "", &["--clear"]),
        ("top", "", &["--count", "1"]),
        ("power", "", &[]),
        ("mark", "", &["text"]),
        ("detach", "", &["vda"]),
    ] {
        let output = on(&mount, command, file, words);
        assert_fails(
            &output,
            1,
            &[
                "is a stale mount: its server died",
                "provium umount --stale",
            ],
        );
    }
}
