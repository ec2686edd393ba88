//! Two blocks that must change together: data, and a commit record that says that they are there.

use super::recording::{Found, judged};
use crate::harness::*;

/// Exit code 1 where the commit record stands without its data.
const COMMIT_HAS_DATA: &str = "! grep -q CCC {} || grep -q DDD {}";

/// Writes data and then a commit record, with `between` between them.
fn states_of_update(between: &str) -> Found {
    let mount = Mount::new();
    let log = mount.folder().join("disk.log");
    mount.append("vda/cache", "volatile").unwrap();
    let start = format!("start {}", log.display());
    mount.append("vda/log", &start).unwrap();
    let script = format!(
        "block() {{ head -c 4096 /dev/zero | tr '\\0' $1; }}
        block D | dd of=$m/vda bs=4k iflag=fullblock conv=notrunc{between} status=none
        block C | dd of=$m/vda bs=4k iflag=fullblock conv=notrunc seek=2 status=none"
    );
    assert_ok(&shell("sh", &mount, &script));
    mount.append("vda/log", "stop").unwrap();
    judged(&log, &["--check", COMMIT_HAS_DATA])
}

#[test]
fn two_blocks_have_four_states_and_one_is_bad() {
    let found = states_of_update("");
    assert_eq!((found.states, found.bad), (4, 1), "{}", found.summary);
    // Exactly one lost write: the data.
    assert_eq!(
        found.summary["groups"][0]["lost"],
        serde_json::json!(["0+8"])
    );
}

#[test]
fn two_blocks_with_a_flush_between_have_three_states_and_none_is_bad() {
    let found = states_of_update(",fsync");
    assert_eq!((found.states, found.bad), (3, 0), "{}", found.summary);
}
