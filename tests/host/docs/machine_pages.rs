//! docs/libvirt.md, docs/containers.md and docs/troubleshooting.md: what can be tried without libvirt and Docker.

use std::process::Command;

use super::examples::blocks;
use super::page_says;
use crate::harness::*;
use crate::python::folder;

#[test]
fn domain_of_the_libvirt_page_is_valid_and_reports_errors() {
    let domains = blocks(&folder("docs/libvirt.md"), "xml");
    assert_eq!(domains.len(), 1);
    for attribute in [
        "type='raw'",
        "cache='none'",
        "io='native'",
        "error_policy='report'",
        "rerror_policy='report'",
    ] {
        assert!(domains[0].contains(attribute), "{attribute}");
    }
    if !has("virt-xml-validate") || !has("xmllint") {
        return;
    }
    let place = TempDir::new().unwrap();
    let file = place.path().join("domain.xml");
    std::fs::write(&file, &domains[0]).unwrap();
    assert_ok(&run(Command::new("virt-xml-validate").arg(file)));
}

/// The command that `before` makes of `provium mount` fails, and its message is that of the pages.
fn mount_fails(before: &str, message: &str) {
    let place = TempDir::new().unwrap();
    new_image(&place.path().join("disk.img"), MIB);
    std::fs::create_dir(place.path().join("mnt")).unwrap();
    let script = format!("{before} {PROVIUM} mount mnt --disk vda=disk.img");
    let output = run(Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .current_dir(place.path()));
    assert_fails(&output, 1, &[message]);
    for page in ["docs/troubleshooting.md", "docs/containers.md"] {
        page_says(page, message);
    }
}

#[test]
fn container_without_the_capability_or_the_device_is_told_so() {
    let root = run(Command::new("id").arg("-u"));
    if stdout(&root).trim() != "0" || !can_isolate() {
        return;
    }
    mount_fails(
        "exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin",
        "fusermount3: mount failed: Operation not permitted",
    );
    mount_fails(
        "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && chmod 666 /dev/null && exec",
        "/dev/fuse cannot be opened: No such file or directory",
    );
}

#[test]
fn user_namespace_is_enough_for_a_mount() {
    page_says(
        "docs/containers.md",
        "`unshare -Urm` is the shortest trial of it",
    );
    let allowed = run(Command::new("unshare").args(["-Urm", "true"]));
    if !allowed.status.success() {
        eprintln!("skipped: this user may not make a user namespace");
        return;
    }
    let place = TempDir::new().unwrap();
    new_image(&place.path().join("disk.img"), MIB);
    std::fs::create_dir(place.path().join("mnt")).unwrap();
    let script =
        format!("{PROVIUM} mount mnt --disk vda=disk.img && ls mnt && {PROVIUM} umount mnt");
    let output = run(Command::new("unshare")
        .args(["-Urm", "sh", "-c", &script])
        .current_dir(place.path()));
    assert_ok(&output);
    assert_eq!(stdout(&output), "ctl\nvda\n");
}
