//! `provium fault`: how rules are written, and what is said of those that are none.

use serde_json::{Value, json};

use crate::docs::page_says;
use crate::harness::*;

fn fault(mount: &Mount, words: &[&str]) -> std::process::Output {
    on(mount, "fault", "vda", words)
}

/// The exit code and the message of `provium fault` for the whole mount.
fn fault_all(mount: &Mount, words: &[&str]) -> String {
    let output = on(mount, "fault", "", words);
    assert_ok(&output);
    stdout(&output)
}

/// A mount with two disks.
fn two_disks() -> Mount {
    let mount = Mount::new();
    let second = new_image(&mount.folder().join("vdb.img"), MIB);
    let line = format!("vdb {}", second.display());
    mount.append("attach", &line).unwrap();
    mount
}

#[test]
fn rule_needs_no_quotes_and_quoted_rules_stay_apart() {
    page_says(
        "docs/faults.md",
        "provium fault mnt/vda error op=read errno=EIO at=2048+8",
    );
    let mount = Mount::new();
    for (words, armed) in [
        (
            &["error", "op=read", "at=8+1"][..],
            "error op=read errno=EIO at=8+1\n",
        ),
        (&["slow", "eio_read", "times=3"], "slow\neio_read times=3\n"),
        (
            &["error op=flush", "lose op=write"],
            "error op=flush errno=EIO\nlose op=write\n",
        ),
    ] {
        assert_ok(&fault(&mount, &[&["--set"], words].concat()));
        assert_eq!(mount.read("vda/faults"), armed);
    }
    assert_ok(&fault(&mount, &["--remove", "error", "op=flush"]));
    assert_eq!(mount.read("vda/faults"), "lose op=write\n");
}

#[test]
fn words_that_are_no_rule_are_explained_and_change_nothing() {
    let mount = Mount::new();
    mount.arm("slow");
    for (words, says) in [
        (
            &["op=read"][..],
            "begin with an action or a mode, as in `error op=read`",
        ),
        (
            &["error", "read"],
            "did you mean `op=read` behind an action?",
        ),
        (&["error", "8+1"], "did you mean `at=8+1` behind an action?"),
        (&["eio_red"], "did you mean `eio_read`?"),
        (&["error", "opp=read"], "did you mean `op`?"),
        (&["error", "op=raed"], "did you mean `read`?"),
        (&["error", "errno=EI0"], "did you mean `EIO`?"),
        (&["corrupt", "how=flp"], "did you mean `flip`?"),
        (&["cut", "point=befor"], "did you mean `before`?"),
        (&[""], "an empty word is not a rule"),
        (&["--set", ""], "an empty word is not a rule"),
        (&["--explain", "eio_red"], "did you mean `eio_read`?"),
        (&["--explain", "eio_read tims=1"], "did you mean `times`?"),
        (&["--explain", "raed 8+1"], "did you mean `read`?"),
        (&["--explain", "read 8"], "as in `read 2048+8`"),
        (
            &["--explain", "nonsense"],
            "is not a request and not a rule",
        ),
    ] {
        assert_fails(&fault(&mount, words), 2, &[says]);
        assert_eq!(mount.read("vda/faults"), "slow\n", "{words:?}");
    }
}

#[test]
fn explain_tells_what_a_rule_means_without_arming_it() {
    let mount = Mount::new();
    let output = fault(&mount, &["--explain", "slow at=8+1"]);
    assert_ok(&output);
    let said = stdout(&output);
    for text in [
        "delay op=read,write,zero by=50ms at=8+1\n",
        "the request waits before it is served",
        "  at=8+1              requests that overlap these sectors: START+COUNT, also 1M+64K or end-8+8",
    ] {
        assert!(said.contains(text), "{text:?} is not in: {said}");
    }
    assert_eq!(mount.read("vda/faults"), "");
}

#[test]
fn rules_of_a_mount_are_those_of_all_its_disks() {
    page_says(
        "docs/faults.md",
        "`provium fault mnt --clear` removes the rules of all disks",
    );
    let mount = two_disks();
    let armed = || [mount.read("vda/faults"), mount.read("vdb/faults")];
    fault_all(&mount, &["slow", "eio_read", "times=1"]);
    assert_eq!(armed(), ["slow\neio_read times=1\n"; 2]);
    mount.arm("lose op=flush tag=mine");
    assert_eq!(
        fault_all(&mount, &[]),
        "vda slow\nvda eio_read times=1\nvda lose op=flush tag=mine\nvdb slow\nvdb eio_read times=1\n"
    );
    fault_all(&mount, &["--remove", "mine"]);
    assert_eq!(armed(), ["slow\neio_read times=1\n"; 2]);
    let unknown = on(&mount, "fault", "", &["--remove", "mine"]);
    assert_fails(&unknown, 2, &["no rule has the tag `mine`"]);
    fault_all(&mount, &["--set", "eio_write"]);
    assert_eq!(armed(), ["eio_write\n"; 2]);
    fault_all(&mount, &["--clear"]);
    assert_eq!(armed(), [""; 2]);
    let bad = on(&mount, "fault", "", &["slow", "bogus"]);
    assert_fails(&bad, 2, &["unknown mode `bogus`"]);
    assert_eq!(armed(), [""; 2]);
}

#[test]
fn rule_for_a_mount_without_disks_is_an_error() {
    let mount = Mount::new();
    mount.append("detach", "vda").unwrap();
    let output = on(&mount, "fault", "", &["slow"]);
    assert_fails(&output, 1, &["has no disks; add one with `provium attach"]);
    assert_eq!(fault_all(&mount, &["--clear"]), "");
}

#[test]
fn json_has_each_rule_as_text_and_as_fields() {
    let mount = two_disks();
    mount.arm("slow at=8+1\neio_read when=none");
    assert!(read_sector(&mount, 8).is_ok());
    let json = |output: std::process::Output| -> Value {
        assert_ok(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let disks = json(on(&mount, "fault", "", &["--json"]));
    assert_eq!(
        (&disks[0]["id"], &disks[1]["id"]),
        (&json!("vda"), &json!("vdb"))
    );
    assert_eq!(disks[1]["rules"], json!([]));
    let slow = &disks[0]["rules"][0];
    assert_eq!(slow["text"], "slow at=8+1");
    assert_eq!(slow["values"]["by_min_seconds"], 0.05);
    assert_eq!(
        slow["selectors"],
        json!({ "at": [{ "sector": 8, "sectors": 1 }] })
    );
    assert!(
        slow["fired"].as_u64() >= Some(1) && slow["never"].is_null(),
        "{slow}"
    );
    let never = disks[0]["rules"][1]["never"].as_str().unwrap();
    assert_eq!(never, "no rule has the tag `none`");
    let explained = json(fault(&mount, &["--json", "--explain", "read 8+1"]));
    assert_eq!(
        explained[0]["request"],
        json!({ "op": "read", "sector": 8, "sectors": 1 })
    );
    let answers = explained[0]["rules"].as_array().unwrap().iter();
    let acts: Vec<_> = answers.map(|rule| &rule["acts"]).collect();
    assert_eq!(acts, [true, false]);
    mount.append("vda/rules", "off").unwrap();
    let disks = json(fault(&mount, &["--json"]));
    assert_eq!(
        (disks.as_array().unwrap().len(), &disks[0]["are_rules_off"]),
        (1, &json!(true))
    );
}
