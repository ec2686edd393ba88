//! `provium doctor`.

use std::process::Command;

use crate::docs::page_says;
use crate::harness::*;

fn report(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn doctor_prints_json_with_the_command_that_mends_each_lack() {
    let mut doctor = Command::new(PROVIUM);
    doctor.args(["doctor", "--json"]);
    let output = run(doctor.env("PATH", "/nowhere"));
    assert_eq!(output.status.code(), Some(1));
    let report = report(&stdout(&output));
    assert_eq!(report["ok"], false);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let findings = report["findings"].as_array().unwrap();
    let find = |what: &str| findings.iter().find(|it| it["what"] == what).unwrap();
    assert_eq!(find("/dev/fuse")["state"], "ok");
    let qemu = find("qemu-img");
    assert_eq!(qemu["state"], "note");
    assert!(qemu["mend"].as_str().unwrap().starts_with("sudo apt-get"));
}

#[test]
fn doctor_in_a_container_says_what_to_start_it_with() {
    page_says(
        "docs/ci.md",
        "`provium doctor` tells a container from a machine",
    );
    if provium::os::sys::uid() != 0 || !can_isolate() {
        eprintln!("skipped: only root may hide /dev/fuse from a command");
        return;
    }
    // A /run with Podman's mark, and a /dev without fuse.
    let script = "mount -t tmpfs none /run; touch /run/.containerenv
        mount -t tmpfs none /dev; mknod /dev/null c 1 3
        \"$0\" doctor";
    let mut unshare = Command::new("unshare");
    let output = run(unshare
        .args(["-m", "sh", "-c", script, PROVIUM])
        .env("XDG_RUNTIME_DIR", "/tmp")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("GITHUB_ACTIONS"));
    let text = stdout(&output);
    assert!(
        text.contains("ok       machine        a container of Podman"),
        "{text}"
    );
    let advice = "mend it with: podman run --device /dev/fuse --cap-add SYS_ADMIN";
    assert!(text.contains(advice), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn doctor_says_whether_each_guest_is_built_and_needs_the_default_one_alone() {
    let cache = TempDir::new().unwrap();
    let findings = || {
        let mut doctor = Command::new(PROVIUM);
        doctor.args(["doctor", "--json"]);
        let output = run(doctor.env("XDG_CACHE_HOME", cache.path()));
        let report = report(&stdout(&output));
        let findings = report["findings"].as_array().unwrap().clone();
        ["default guest", "storage guest"].map(|guest| {
            let found = findings.iter().find(|it| it["what"] == guest).unwrap();
            ["state", "mend"].map(|key| found[key].as_str().unwrap_or_default().to_owned())
        })
    };
    let missing = ["missing", "provium guest build"];
    let note = ["note", "provium guest build storage"];
    assert_eq!(findings(), [missing, note]);
    for guest in ["default", "storage"] {
        let folder = cache.path().join("provium/guest").join(guest);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("initrd"), "").unwrap();
    }
    assert_eq!(findings(), [["ok", ""]; 2]);
}

#[test]
fn run_of_a_root_without_the_right_to_mount_is_told_so() {
    if provium::os::sys::uid() != 0 || !has("setpriv") {
        eprintln!("skipped: only root has rights to lose");
        return;
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set", "-sys_admin", PROVIUM, "doctor"]);
    let text = stdout(&run(&mut setpriv));
    assert!(
        text.contains("missing  right to mount root lacks CAP_SYS_ADMIN"),
        "{text}"
    );
}
