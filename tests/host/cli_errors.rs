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

#[test]
fn command_of_another_form_is_answered_with_its_examples() {
    for (words, example) in [
        (
            &["mount", "m", "a.img"][..],
            "  provium mount /tmp/m --disk vda=disk.img",
        ),
        (
            &["attach", "m", "vdc=b.img"],
            "  provium attach /tmp/m vdb second.img --ro",
        ),
        (&["detach", "m/vdc"], "  provium detach /tmp/m vdb"),
        (&["power", "cut", "m"], "  provium power /tmp/m cut"),
        (&["run", "ls"], "  provium run --disk"),
    ] {
        let output = provium(words);
        assert_fails(
            &output,
            2,
            &["error: ", "Examples:\n", example, "try '--help'"],
        );
        assert!(
            !stderr(&output).contains("as a value"),
            "{}",
            stderr(&output)
        );
    }
    assert_fails(&provium(&["version"]), 2, &["an option `--version`"]);
    let typo = provium(&["tset"]);
    assert_fails(&typo, 2, &["similar subcommands exist: ", "'test'"]);
    assert!(!stderr(&typo).contains("test-file"), "{}", stderr(&typo));
}

#[test]
fn image_with_unknown_options_is_told_from_one_that_is_missing() {
    let folder = TempDir::new().unwrap();
    let point = folder.path().join("m").display().to_string();
    std::fs::create_dir(&point).unwrap();
    let image = folder.path().join("a.img").display().to_string();
    std::fs::write(&image, [0; 512]).unwrap();
    let mount = |disk: &str| provium(&["mount", &point, "--disk", disk]);
    let says = format!(
        "{image} does, and `,readonly` behind it is not a list of options (valid: ,ro ,fixed"
    );
    assert_fails(&mount(&format!("vda={image},readonly")), 1, &[&says]);
    // All words that there are.
    let help = stdout(&provium(&["mount", "--help"]));
    let words = help
        .split_once("<ID=IMAGE[")
        .unwrap()
        .1
        .split_once("]>")
        .unwrap()
        .0;
    let valid = format!("(valid: {})", words.replace("][", " "));
    assert_fails(&mount(&format!("vda={image},readonly")), 1, &[&valid]);
    let says = format!("{image} does, and `,ro,size=1G` behind it");
    assert_fails(&mount(&format!("vda={image},ro,size=1G")), 1, &[&says]);
    let missing = format!("vda={image}.gone,readonly");
    assert_fails(
        &mount(&missing),
        1,
        &["create it first, for example with `truncate"],
    );
}

#[test]
fn words_of_fault_that_are_no_rules_are_explained() {
    let mount = Mount::new();
    let vda = mount.path("vda").display().to_string();
    let as_disk = format!("`vda` is a disk of this mount: name it as {vda}");
    for (file, words, says) in [
        ("", &["vda", "eio_read"][..], as_disk.as_str()),
        ("vda", &["clear"], "did you mean `--clear`?"),
        (
            "vda",
            &["eio_read,slow"],
            "each rule is a line, or a word of the command line, of its own",
        ),
        ("vda", &["slow; eio_read"], "a rule is a line of its own"),
        (
            "vda",
            &["error", "at=2048..2055"],
            "did you mean 2048+8? A sector has 512 bytes",
        ),
        ("vda", &["error", "at=100"], "did you mean 100+1?"),
    ] {
        assert_fails(&on(&mount, "fault", file, words), 2, &[says]);
    }
    assert_eq!(
        stdout(&on(&mount, "fault", "vda", &[])),
        "",
        "nothing is armed"
    );
    // A tag may be called as an option is.
    assert_ok(&on(&mount, "fault", "vda", &["slow", "tag=clear"]));
    assert_ok(&on(&mount, "fault", "vda", &["--remove", "clear"]));
    assert_eq!(stdout(&on(&mount, "fault", "vda", &[])), "");
}
