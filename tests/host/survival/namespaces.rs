//! Servers, mounts and clients in separate namespaces. The same process has another number there, and a mount
//! may live on in a copy that no other process sees.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::scene::Scene;
use crate::docs::page_says;
use crate::harness::*;

/// A shell script in its own namespaces.
fn isolated(scene: &Scene, namespaces: &[&str], script: &str) -> Command {
    let mut command = scene.command("unshare");
    command.args(namespaces).args(["sh", "-c", script]);
    command
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A process in its own mount namespace, which has a copy of each mount.
struct Elsewhere(Child);

impl Elsewhere {
    fn start(scene: &Scene, does: &str) -> Self {
        let script = format!("{does} echo > there; exec sleep 60");
        let child = isolated(scene, &["-m"], &script).spawn().unwrap();
        let there = scene.path("there");
        eventually("it has its namespace", || there.exists());
        Self(child)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn server_in_another_pid_namespace_is_alive_and_ends_with_its_mount() {
    page_says(
        "docs/security.md",
        "A lock shows whether a server lives, or the VM of a run-time folder. Its process holds this lock",
    );
    if !can_isolate() {
        return;
    }
    let scene = Scene::begin();
    let (image, point) = (scene.image("vda.img", MIB), scene.path("mnt"));
    std::fs::create_dir(&point).unwrap();
    let serve = format!("{PROVIUM} mount -f mnt --disk vda={}", image.display());
    let mut server = isolated(&scene, &["-p", "-f"], &serve).spawn().unwrap();
    eventually("the mount answers", || point.join("ctl/version").exists());
    let at = text(&point);
    let status = stdout(&scene.provium(&["status", &at]));
    assert!(
        !status.contains("stale") && status.contains("vda"),
        "{status}"
    );
    assert_fails(
        &scene.provium(&["umount", "--stale", &at]),
        1,
        &["is not stale"],
    );
    assert!(is_mounted(&point));
    assert_ok(&scene.provium(&["umount", &at]));
    assert!(server.wait().unwrap().success());
    assert!(!is_mounted(&point));
}

#[test]
fn server_can_be_seen_and_ended_from_another_pid_namespace() {
    if !can_isolate() {
        return;
    }
    let scene = Scene::begin();
    for force in ["", "--force"] {
        let mut mount = scene.mount();
        let at = text(&mount.point());
        let file = open_direct(&mount.vda());
        let script =
            format!("{PROVIUM} status {at}; {PROVIUM} umount --stale {at}; {PROVIUM} umount {at}");
        let looked = isolated(&scene, &["-p", "-f"], &script).output().unwrap();
        let shown = stdout(&looked);
        assert!(!shown.contains("stale"), "{shown}");
        assert_fails(&looked, 1, &["is not stale: ", "is busy: "]);
        assert!(mount.ctl("version").exists());
        let file = (!force.is_empty()).then_some(file);
        let script = format!("{PROVIUM} umount {force} {at}");
        assert_ok(&isolated(&scene, &["-p", "-f"], &script).output().unwrap());
        assert!(!is_mounted(&mount.point()));
        assert!(mount.wait_for_end().success());
        drop(file);
    }
}

#[test]
fn copy_of_the_mount_in_another_namespace_does_not_keep_the_server() {
    if !can_isolate() {
        return;
    }
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let elsewhere = Elsewhere::start(&scene, "");
    let began = Instant::now();
    assert_ok(&scene.provium(&["umount", &text(&mount.point())]));
    assert!(mount.wait_for_end().success());
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    drop(elsewhere);
}

#[test]
fn client_in_another_mount_namespace_keeps_the_mount_busy_and_is_named() {
    if !can_isolate() {
        return;
    }
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let vda = text(&mount.vda());
    let elsewhere = Elsewhere::start(&scene, &format!("exec 5< {vda};"));
    let at = text(&mount.point());
    let who = format!("(process {}) has {vda} open", elsewhere.0.id());
    assert_fails(&scene.provium(&["umount", &at]), 1, &["is busy: ", &who]);
    assert!(mount.ctl("version").exists(), "it is still there");
    assert_ok(&scene.provium(&["umount", "--force", &at]));
    assert!(mount.wait_for_end().success());
    drop(elsewhere);
}

#[test]
fn bind_mount_keeps_the_mount_busy_and_is_named() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let Some(bind) = Bind::make(&mount.point(), &scene.path("bind")) else {
        return;
    };
    let at = text(&mount.point());
    let named = format!("is mounted at {} too", text(&bind.0));
    assert_fails(&scene.provium(&["umount", &at]), 1, &["is busy: ", &named]);
    assert_ok(&scene.provium(&["umount", "--force", &at]));
    assert!(mount.wait_for_end().success());
    assert!(!is_mounted(&bind.0) && !is_mounted(&mount.point()));
}

#[test]
fn run_in_another_pid_namespace_leaves_the_folder_of_a_running_vm() {
    if !can_isolate() {
        return;
    }
    let scene = Scene::begin();
    let write = |name: &str, lua: &str| std::fs::write(scene.path(name), lua).unwrap();
    write("other.test.lua", "test('x', function(t) end)");
    write(
        "vm.test.lua",
        "test('x', function(t)
           provium:vm('v', 'default')
           os.execute('touch made; while ! test -e over; do sleep 0.01; done')
         end)",
    );
    let mut running = scene.command(PROVIUM);
    let mut running = running
        .args(["test", "vm.test.lua"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has a VM", || scene.path("made").exists());
    let folders = || {
        let all = std::fs::read_dir(scene.path("run/provium")).unwrap();
        let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut vms: Vec<_> = names.filter(|name| name.starts_with("vm-")).collect();
        vms.sort();
        vms
    };
    let before = folders();
    assert_eq!(before.len(), 1);
    let other = format!("{PROVIUM} test other.test.lua");
    assert_ok(&isolated(&scene, &["-p", "-f"], &other).output().unwrap());
    assert_ok(
        &isolated(&scene, &["-p", "-f", "-m"], &other)
            .output()
            .unwrap(),
    );
    assert_eq!(folders(), before);
    std::fs::write(scene.path("over"), "").unwrap();
    assert!(running.wait().unwrap().success());
    assert_eq!(folders(), [""; 0]);
}
