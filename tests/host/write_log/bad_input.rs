//! What `log` and `mark` reject: nothing begins, nothing is left behind, and `ctl/error` says why.

use std::os::unix::fs::symlink;

use super::*;

/// The error number of `start WORDS`, which `ctl/error` explains with `text`.
fn rejected(mount: &Mount, words: &str, text: &str) -> i32 {
    let number = errno(mount.append("vda/log", &format!("start {words}")));
    let error = mount.read("error");
    assert!(error.contains(text), "{words}: {error}");
    assert_eq!(mount.read("vda/log"), "off\n");
    number
}

#[test]
fn log_begins_nowhere_but_in_a_new_or_empty_file() {
    let mount = Mount::new();
    let at = |name: &str| mount.folder().join(name).display().to_string();
    std::fs::write(at("full"), "content").unwrap();
    std::fs::write(at("based.base"), "content").unwrap();
    symlink(at("target"), at("link")).unwrap();
    let exists = "exists already: choose another path";
    for (path, text, number) in [
        (at("full"), exists, libc::EEXIST),
        (at("based"), "based.base exists already", libc::EEXIST),
        (at("link"), exists, libc::EEXIST),
        (at("vda.img"), exists, libc::EEXIST),
        (at("mnt"), "lies in this mount itself", libc::EINVAL),
        (at("mnt/new"), "lies in this mount itself", libc::EINVAL),
        (at("mnt/ctl/new"), "lies in this mount itself", libc::EINVAL),
        (
            at("mnt/../mnt/new"),
            "lies in this mount itself",
            libc::EINVAL,
        ),
        (at("none/new"), "No such file or directory", libc::ENOENT),
        ("new".into(), "is not absolute", libc::EINVAL),
        (
            "/proc/new".into(),
            "a folder of the kernel's own",
            libc::EINVAL,
        ),
        (
            format!("{} base=x", at("new")),
            "is not absolute",
            libc::EINVAL,
        ),
        (format!("{0} base={0}", at("new")), exists, libc::EEXIST),
    ] {
        assert_eq!(rejected(&mount, &path, text), number, "{path}");
    }
    let mut names: Vec<_> = mount.folder().read_dir().unwrap().collect();
    names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let names = names
        .iter()
        .map(|entry| entry.as_ref().unwrap().file_name());
    let expected = ["based.base", "full", "link", "mnt", "vda.img"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    start_log(&mount, "");
}

#[test]
fn log_lies_in_no_mount_that_waits_for_this_one() {
    let (mount, other) = (Mount::new(), Mount::new());
    let served = format!("vdb {}", other.vda().display());
    mount.append("attach", &served).unwrap();
    let into = other.point().join("new").display().to_string();
    // The other server serves nothing of this one, so the host may answer: there is no such file to create.
    assert_ne!(rejected(&mount, &into, "cannot create"), libc::EINVAL);
    let back = mount.point().join("new").display().to_string();
    let number = errno(other.append("vda/log", &format!("start {back}")));
    assert_eq!(number, libc::EINVAL);
    assert!(
        other
            .read("error")
            .contains("each would wait for the other")
    );
}

#[test]
fn words_that_are_no_command_of_the_log_are_rejected() {
    let mount = Mount::new();
    for words in [
        "",
        "start",
        "begin /a",
        "stop now",
        "start /a /b",
        "start '/a",
    ] {
        if !words.is_empty() {
            assert_eq!(errno(mount.append("vda/log", words)), libc::EINVAL);
            assert!(mount.read("error").contains("log expects `start PATH`"));
        }
    }
    let number = errno(mount.append("vda/log", "stop"));
    assert_eq!(number, libc::EINVAL);
    assert!(mount.read("error").contains("there is no log to stop"));
    start_log(&mount, "base=none");
    let number = errno(mount.append("vda/log", "start /tmp/second"));
    assert_eq!(number, libc::EALREADY);
    let text = format!("written to {}: stop it first", log_of(&mount).display());
    assert!(mount.read("error").contains(&text));
    for mark in ["x".repeat(401), "two\nlines".into(), " ".into()] {
        assert_eq!(errno(mount.append("vda/mark", &mark)), libc::EINVAL);
        assert_eq!(errno(mount.append("mark", &mark)), libc::EINVAL);
        assert!(mount.read("error").contains("one line of 1 to 400 bytes"));
    }
    let longest = "x".repeat(400);
    mount.append("vda/mark", &longest).unwrap();
    mount.append("mark", "of all disks").unwrap();
    stop_log(&mount);
    let marks = raw::marks(&log_of(&mount));
    assert_eq!(marks, [&longest, "of all disks", "dm-log-writes-end"]);
}
