//! A server that is stopped by a signal, and continued, unmounted or killed.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::harness::*;

#[test]
fn stopped_server_goes_on_where_it_was() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let file = open_direct(&mount.vda());
    scene.did(&format!("stopped server {}", mount.server()));
    mount.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(&[4; 512], 0));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished());
        mount.signal(libc::SIGCONT);
        assert_eq!(writer.join().unwrap().unwrap(), 512);
    });
    scene.found("a write waited, and was done when it went on");
}

#[test]
fn delayed_requests_are_answered_when_a_stopped_server_goes_on() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let file = open_direct(&mount.vda());
    in_ample_time(|seconds| {
        mount.clear();
        mount.arm(&format!("delay op=read by={seconds}s"));
        let before = mount.stat("read_answered");
        let all_wait = std::thread::scope(|scope| {
            let read = || scope.spawn(|| file.read_at(&mut [0; 512], 0).unwrap());
            let readers: Vec<_> = (0..50).map(|_| read()).collect();
            let wait = || mount.stat("in_flight") == 50;
            eventually("they wait", || {
                wait() || mount.stat("read_answered") > before
            });
            let all_wait = wait();
            mount.signal(libc::SIGSTOP);
            scene.did(&format!(
                "stopped the server with 50 reads delayed by {seconds} s, for as long"
            ));
            std::thread::sleep(Duration::from_secs_f64(seconds));
            mount.signal(libc::SIGCONT);
            assert!(
                readers
                    .into_iter()
                    .all(|reader| reader.join().unwrap() == 512)
            );
            all_wait
        });
        all_wait.then_some(())
    });
    scene.found("all 50 were answered");
}

#[test]
fn stopped_server_is_reported_without_waiting_for_it() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let (point, disk) = (
        mount.point().display().to_string(),
        mount.vda().display().to_string(),
    );
    scene.did(&format!("stopped server {}", mount.server()));
    mount.signal(libc::SIGSTOP);
    let asked = Instant::now();
    let advice = format!("kill -CONT {}", mount.server());
    let status = scene.provium(&["status", &point]);
    assert!(stdout(&status).contains(&advice), "{}", stdout(&status));
    assert_fails(
        &scene.provium(&["fault", &disk]),
        1,
        &["is stopped", &advice],
    );
    assert_fails(
        &scene.provium(&["detach", &point, "vda"]),
        1,
        &["is stopped", &advice],
    );
    let took = asked.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    mount.signal(libc::SIGCONT);
    assert_ok(&scene.provium(&["fault", &disk]));
    scene.found(&format!(
        "{advice}; three commands said so in {} ms",
        took.as_millis()
    ));
}

#[test]
fn umount_of_a_stopped_server_says_what_it_waits_for() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let point = mount.point().display().to_string();
    scene.did(&format!("stopped server {} and unmounted", mount.server()));
    mount.signal(libc::SIGSTOP);
    let advice = format!("kill -CONT {}", mount.server());
    assert_fails(
        &scene.provium(&["umount", &point]),
        1,
        &["is unmounted", &advice],
    );
    assert!(!is_mounted(&mount.point()));
    mount.signal(libc::SIGCONT);
    let status = mount.wait_for_end();
    assert!(status.success(), "{status}");
    scene.found("the mount was gone at once, the server when it went on");
}

#[test]
fn forced_umount_continues_a_stopped_server_and_ends_it() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    let point = mount.point().display().to_string();
    scene.did(&format!(
        "stopped server {} with a file open",
        mount.server()
    ));
    mount.signal(libc::SIGSTOP);
    assert_ok(&scene.provium(&["umount", "--force", &point]));
    assert!(!is_mounted(&mount.point()));
    assert!(mount.wait_for_end().success());
    assert_eq!(errno(file.read_at(&mut [0; 512], 0)), libc::ENOTCONN);
    scene.found("the server went on and ended, the file is cut off");
}

#[test]
fn stopped_server_that_is_killed_frees_its_clients() {
    let scene = Scene::begin();
    let mut mount = scene.mount();
    let file = open_direct(&mount.vda());
    mount.signal(libc::SIGSTOP);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_at(&mut [0; 512], 0));
        std::thread::sleep(Duration::from_millis(20));
        scene.did(&format!(
            "killed server {} while it was stopped, with a read waiting",
            mount.server()
        ));
        mount.kill_server();
        let error = reader.join().unwrap().unwrap_err();
        scene.found(&format!("the read failed: {error}"));
    });
}
