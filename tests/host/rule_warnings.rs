//! Rules that can never act: `provium fault` and the file `rules` say why.

use crate::harness::*;

#[test]
fn rule_that_can_never_act_is_reported_when_armed() {
    let mount = Mount::new();
    let disk = mount.vda().display().to_string();
    let told = |rules: &[&str], what: &str| {
        let args = [&["fault", &disk, "--set"], rules].concat();
        let output = provium(&args);
        assert_ok(&output);
        let told = format!("provium: warning: `{}`{what}\n", rules.last().unwrap());
        assert_eq!(stderr(&output), told);
    };
    let warned = |rules: &[&str], reason: &str| told(rules, &format!(" can never act: {reason}"));
    told(
        &["eio_read at=32768+1"],
        ": the disk ends before its sectors: it has 32768, and a guest asks for no more",
    );
    told(
        &["delay op=write by=1ms", "delay op=write by=1ms"],
        ": armed 2 times and acts once: equal rules are one; a `tag=` makes two of them",
    );
    warned(
        &["eio_read when=a tag=a"],
        "no other rule with the tag `a` can act",
    );
    warned(&["eio_read times=0"], "times=0");
    warned(&["eio_read when=first"], "no rule has the tag `first`");
    warned(
        &["error op=flush errno=EIO at=0+1"],
        "a flush has no sectors",
    );
    warned(
        &["eio_read", "error op=read errno=ENOSPC at=1+1"],
        "`eio_read` stands before it and decides first",
    );
    let armed = provium(&["fault", &disk, "--set", "eio_read at=32767+1", "slow"]);
    assert_eq!(stderr(&armed), "");
    mount.arm("eio_read at=40000+1");
    assert!(
        mount
            .read("vda/rules")
            .contains(" note: the disk ends before its sectors")
    );
}

#[test]
fn rule_for_writes_on_a_read_only_disk_is_reported() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mount = Mount::serve(folder, &["--disk", &format!("vda={},ro", image.display())]);
    mount.arm("eio_write");
    assert!(
        mount
            .read("vda/rules")
            .contains(" never: the disk is read-only and sees no write,zero")
    );
}
