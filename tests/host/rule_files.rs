//! Many rules at once: from a file, and through `faults` in several writes.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::*;

const MANY: u64 = 3000;

/// As many rules, each below a long comment: more bytes than one request to the server has.
fn many() -> String {
    let mut text = String::new();
    for sector in 0..MANY {
        let comment = "sector that cannot be read ".repeat(16);
        writeln!(text, "# {comment}\nerror op=read errno=EIO at={sector}+1").unwrap();
    }
    assert!(text.len() as u64 > MIB);
    text
}

fn armed(mount: &Mount) -> u64 {
    mount.read("vda/faults").lines().count() as u64
}

#[test]
fn rules_of_a_file_are_armed_together_whatever_their_number() {
    let mount = Mount::new();
    let file = mount.folder().join("disk.rules");
    std::fs::write(&file, many()).unwrap();
    mount.arm("slow at=0+1");
    let path = file.to_str().unwrap();
    let fault = |words: &[&str]| on(&mount, "fault", "vda", words);
    assert_ok(&fault(&["--file", path]));
    assert_eq!(armed(&mount), MANY + 1);
    assert_ok(&fault(&["--set", "--file", path]));
    assert_eq!(armed(&mount), MANY);
    assert_eq!(errno(read_sector(&mount, MANY - 1)), libc::EIO);
    read_sector(&mount, MANY).unwrap();
}

#[test]
fn bad_line_of_a_file_is_named_and_nothing_changes() {
    let mount = Mount::new();
    mount.arm("slow");
    let file = mount.folder().join("disk.rules");
    std::fs::write(&file, many() + "eror op=read\n").unwrap();
    let path = file.to_str().unwrap();
    let output = on(&mount, "fault", "vda", &["--set", "--file", path]);
    let says = format!("{path}: line 6001, column 1: unknown mode `eror`; did you mean `error`?");
    assert_fails(&output, 2, &[&says]);
    assert_eq!(mount.read("vda/faults"), "slow\n");
    let output = on(&mount, "fault", "vda", &["--file", "/nowhere/x.rules"]);
    assert_fails(&output, 1, &["/nowhere/x.rules: No such file"]);
    let output = on(&mount, "fault", "vda", &["--remove", "--file", path]);
    assert_fails(&output, 2, &[]);
}

#[test]
fn rules_on_standard_input_are_those_of_a_file() {
    let mount = Mount::new();
    let arm = |text: &str| {
        let mut child = Command::new(PROVIUM);
        child.arg("fault").arg(mount.vda()).args(["--file", "-"]);
        child.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    assert_ok(&arm("# two\nslow\n\neio_read\n"));
    assert_eq!(mount.read("vda/faults"), "slow\neio_read\n");
    assert_ok(&arm("!slow\n"));
    assert_eq!(mount.read("vda/faults"), "eio_read\n");
    assert_fails(
        &arm("!gone\n"),
        2,
        &["standard input: no rule has the tag `gone`"],
    );
}

#[test]
fn writes_between_begin_and_commit_are_one_transaction_and_a_close_before_changes_nothing() {
    let mount = Mount::new();
    mount.arm("slow");
    let open = || {
        OpenOptions::new()
            .append(true)
            .open(mount.ctl("vda/faults"))
            .unwrap()
    };
    let mut file = open();
    for part in ["begin\n", "eio_read\ner", "ror op=flush\n"] {
        file.write_all(part.as_bytes()).unwrap();
        assert_eq!(mount.read("vda/faults"), "slow\n", "{part}");
    }
    drop(file);
    eventually("the close is known", || {
        mount.read("error").contains("closed before `commit`")
    });
    assert_eq!(mount.read("vda/faults"), "slow\n");
    let mut file = open();
    for part in ["begin\n", "eio_read\ner", "ror op=flush\ncom", "mit\n"] {
        file.write_all(part.as_bytes()).unwrap();
    }
    let all = "slow\neio_read\nerror op=flush errno=EIO\n";
    assert_eq!(mount.read("vda/faults"), all);
    file.write_all(b"!slow\n").unwrap();
    assert_eq!(
        mount.read("vda/faults"),
        all.replace("slow\n", ""),
        "as before `begin`"
    );
}

#[test]
fn shell_replaces_rules_by_many_with_begin_and_commit_and_not_without() {
    let mount = Mount::new();
    mount.arm("slow");
    std::fs::write(mount.folder().join("rules"), many()).unwrap();
    let script = "{ echo begin; cat rules; echo commit; } > mnt/ctl/vda/faults";
    let in_folder = |script: &str| {
        run(Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(mount.folder()))
    };
    let bare = in_folder("cat rules > mnt/ctl/vda/faults");
    assert!(!bare.status.success());
    assert_eq!(mount.read("vda/faults"), "slow\n");
    assert!(mount.read("error").contains("write a line `begin` first"));
    assert_ok(&in_folder(script));
    assert_eq!(armed(&mount), MANY);
}

#[test]
fn bad_line_of_a_transaction_is_counted_after_begin_and_changes_nothing() {
    let mount = Mount::new();
    mount.arm("slow");
    assert_eq!(
        errno(mount.append("vda/faults", "begin\neio_read\nbogus\ncommit\n")),
        libc::EINVAL
    );
    assert!(
        mount
            .read("error")
            .contains("vda/faults: line 2, column 1: unknown mode `bogus`")
    );
    assert_eq!(mount.read("vda/faults"), "slow\n");
}
