//! Clients that are killed in the middle of their I/O.

use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use provium::fault::Random;
use provium::os::process::Process;

use super::scene::Scene;
use crate::harness::*;

fn dd(scene: &Scene, args: &[&str]) -> Child {
    let mut dd = scene.command("dd");
    dd.args(args).stderr(Stdio::null()).spawn().unwrap()
}

fn assert_well(mount: &Mount) {
    eventually("nothing is left in flight", || mount.stat("in_flight") == 0);
    eventually("nothing is left open", || mount.stat("open_files") == 0);
    let file = open_direct(&mount.vda());
    assert_eq!(file.read_at(&mut [0; 512], 0).unwrap(), 512);
}

#[test]
fn client_killed_while_it_reads_leaves_the_server_well() {
    let scene = Scene::begin();
    let mount = scene.mount();
    mount.arm("slow");
    let disk = format!("if={}", mount.vda().display());
    for _ in 0..5 {
        let mut client = dd(&scene, &[&disk, "of=/dev/null", "bs=4096"]);
        eventually("it reads", || mount.stat("in_flight") > 0);
        scene.did(&format!(
            "killed client {} in a read that is delayed",
            client.id()
        ));
        client.kill().unwrap();
        client.wait().unwrap();
    }
    mount.clear();
    assert_well(&mount);
    scene.found("nothing in flight, nothing open, the disk can be read");
}

#[test]
fn client_killed_while_its_request_is_held_is_gone_after_the_release() {
    let scene = Scene::begin();
    let mount = scene.mount();
    mount.arm("hang op=read tag=stuck");
    let disk = format!("if={}", mount.vda().display());
    let mut client = dd(&scene, &[&disk, "of=/dev/null", "count=1"]);
    eventually("it is held", || mount.stat("in_flight") == 1);
    scene.did(&format!(
        "killed client {} in a read that is held",
        client.id()
    ));
    client.kill().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let waits = Process::is_running(client.id());
    mount.append("vda/release", "stuck").unwrap();
    client.wait().unwrap();
    scene.found(&format!(
        "it waited for the answer: {waits}; gone once that came"
    ));
    mount.clear();
    assert_well(&mount);
}

#[test]
fn client_killed_during_large_writes_leaves_whole_sectors() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let source = scene.path("source");
    std::fs::write(&source, vec![b'x'; 16 * MIB as usize]).unwrap();
    let (from, to) = (
        format!("if={}", source.display()),
        format!("of={}", mount.vda().display()),
    );
    let mut random = Random::at(1, 1);
    for _ in 0..10 {
        std::fs::write(mount.image(), vec![b'o'; 16 * MIB as usize]).unwrap();
        mount.arm("delay op=write by=0ms..3ms");
        let mut client = dd(
            &scene,
            &[&from, &to, "bs=4M", "oflag=direct", "conv=notrunc"],
        );
        eventually("it writes", || {
            mount.stat("in_flight") > 0 || mount.stat("write_bytes") > 0
        });
        std::thread::sleep(Duration::from_micros(random.below(8000)));
        scene.did(&format!("killed client {} in its writes", client.id()));
        client.kill().unwrap();
        client.wait().unwrap();
        mount.clear();
        assert_well(&mount);
        let image = std::fs::read(mount.image()).unwrap();
        let sectors = image.chunks(512);
        let is_whole = |sector: &[u8]| {
            [b'x', b'o'].contains(&sector[0]) && sector.iter().all(|byte| *byte == sector[0])
        };
        let new = sectors.clone().filter(|sector| sector[0] == b'x').count();
        assert!(sectors.clone().all(is_whole), "a sector is torn");
        scene.found(&format!(
            "{new} of {} sectors are new, none is torn",
            sectors.len()
        ));
    }
}
