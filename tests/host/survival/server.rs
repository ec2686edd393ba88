//! A killed server: its clients are freed, and its mount point can be used again.

use std::os::unix::fs::FileExt;
use std::process::Stdio;

use super::scene::Scene;
use crate::harness::*;

#[test]
fn killed_server_gives_clients_errors_and_umount_stale_cleans_up() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let point = mount.point().display().to_string();
    let file = open_direct(&mount.vda());
    scene.did(&format!(
        "killed server {} with a file open",
        mount.server()
    ));
    mount.kill_server();
    let error = file.read_at(&mut [0; 512], 0).unwrap_err();
    assert!(is_mounted(&mount.point()));
    let again = scene.provium(&["mount", &point]);
    assert_fails(&again, 1, &["is stale", "provium umount --stale"]);
    let status = scene.provium(&["status", &point]);
    assert!(stdout(&status).contains("stale"), "{}", stdout(&status));
    assert_ok(&scene.provium(&["umount", "--stale", &point]));
    assert!(!is_mounted(&mount.point()));
    scene.found(&format!(
        "the client got `{error}`; mount and status say stale; cleaned up"
    ));
}

#[test]
fn killed_server_frees_the_clients_that_wait_for_it() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    file.write_all_at(&[1; 512], 0).unwrap();
    file.sync_all().unwrap();
    mount.arm("hang op=read,write");
    let failed = std::thread::scope(|scope| {
        let file = &file;
        let requests: Vec<_> = (0..40)
            .map(|n| {
                scope.spawn(move || match n % 2 {
                    0 => file.read_at(&mut [0; 512], n * 512).is_err(),
                    _ => file.write_at(&[2; 512], 0).is_err(),
                })
            })
            .collect();
        eventually("all are held", || mount.stat("in_flight") == 40);
        scene.did(&format!(
            "killed server {} with 20 reads and 20 writes held",
            mount.server()
        ));
        mount.kill_server();
        requests
            .into_iter()
            .filter_map(|request| request.join().unwrap().then_some(()))
            .count()
    });
    assert_eq!(failed, 40);
    assert_eq!(std::fs::read(mount.image()).unwrap()[..512], [1; 512]);
    scene.found("all 40 failed; the image has what was flushed, and nothing of what was held");
}

#[test]
fn killed_servers_mount_point_serves_again() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let point = mount.point().display().to_string();
    let disk = format!("vda={}", mount.image().display());
    for round in 1..=3 {
        let file = open_direct(&mount.vda());
        file.write_all_at(&[round; 512], 0).unwrap();
        if scene.has_cache() {
            file.sync_all().unwrap();
        }
        drop(file);
        if round == 1 {
            scene.did(&format!("killed server {}", mount.server()));
            mount.kill_server();
        } else {
            let server = scene.process("--foreground");
            scene.did(&format!(
                "killed server {server}, started in the background"
            ));
            send(server, libc::SIGKILL);
            eventually("it is gone", || {
                !provium::os::process::Process::is_running(server)
            });
        }
        assert_ok(&scene.provium(&["umount", "--stale", &point]));
        assert_ok(&scene.provium(&["mount", &point, "--disk", &disk]));
        let mut found = [0; 512];
        open_direct(&mount.vda()).read_at(&mut found, 0).unwrap();
        assert_eq!(found, [round; 512]);
        scene.found("a new server serves the image, with what was written before the kill");
    }
    assert_ok(&scene.provium(&["umount", &point]));
}

#[test]
fn server_and_client_killed_together_leave_a_stale_mount_and_no_process() {
    let scene = Scene::begin();
    for client_first in [true, false] {
        let mut mount = scene.mount();
        mount.arm("slow");
        let mut client = scene.command("dd");
        client
            .arg(format!("if={}", mount.vda().display()))
            .arg("of=/dev/null");
        let mut client = client.stderr(Stdio::null()).spawn().unwrap();
        eventually("it reads", || mount.stat("in_flight") > 0);
        scene.did(&format!(
            "killed server {} and client {}, the client first: {client_first}",
            mount.server(),
            client.id()
        ));
        if client_first {
            client.kill().unwrap();
            mount.kill_server();
        } else {
            mount.kill_server();
            client.kill().unwrap();
        }
        client.wait().unwrap();
        assert!(is_mounted(&mount.point()));
        assert_ok(&scene.provium(&["umount", "--stale", &mount.point().display().to_string()]));
        scene.found("both are gone, the mount was stale and is gone");
    }
}

#[test]
fn umount_stale_leaves_mounts_that_answer() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let mut dead = scene.mount();
    let point = mount.point().display().to_string();
    scene.did(&format!(
        "killed server {}, and not {}",
        dead.server(),
        mount.server()
    ));
    dead.kill_server();
    let refused = scene.provium(&["umount", "--stale", &point]);
    assert_fails(&refused, 1, &["is not stale"]);
    assert_ok(&scene.provium(&["umount", "--stale", &dead.point().display().to_string()]));
    assert!(is_mounted(&mount.point()));
    assert!(!is_mounted(&dead.point()));
    scene.found("the dead one's mount is gone, the other's is there");
}
