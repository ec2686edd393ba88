//! Every way to end a mount, after every kind and number of earlier requests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use provium::fault::Random;

use super::scene::Scene;
use crate::harness::*;

/// How many mounts end, unless PROVIUM_ENDS is set. 200 take a minute.
fn rounds() -> u64 {
    match std::env::var("PROVIUM_ENDS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 22,
    }
}

/// The limit for an end.
const SOON: Duration = Duration::from_secs(1);

/// How often an end may take longer until it was this quick.
const TRIES: u32 = 20;

/// Numbers of earlier requests.
const NUMBERS: [u64; 8] = [0, 1, 2, 3, 5, 8, 20, 50];

const WAYS: [&str; 11] = [
    "provium umount",
    "umount",
    "umount --lazy",
    "umount --force",
    "fusermount3 -u",
    "fusermount3 -uz",
    "TERM",
    "INT",
    "HUP",
    "KILL",
    "death of the owner",
];

/// The ways that an open file makes busy.
const NEEDS_IDLE: [&str; 4] = [
    "provium umount",
    "umount",
    "umount --force",
    "fusermount3 -u",
];

/// Makes `number` requests, each of one of some kinds.
fn requests(mount: &Mount, random: &mut Random, number: u64) {
    for _ in 0..number {
        match random.below(8) {
            0 | 1 => drop(mount.point().metadata().unwrap()),
            2 => drop(mount.vda().metadata().unwrap()),
            3 => assert_eq!(std::fs::read_dir(mount.point()).unwrap().count(), 2),
            4 => drop(mount.read("vda/stats")),
            5 => mount.arm("slow times=1 at=9999+1"),
            6 => {
                let file = File::open(mount.vda()).unwrap();
                file.read_exact_at(&mut [0; 512], 0).unwrap();
            }
            _ => {
                let file = File::options().write(true).open(mount.vda()).unwrap();
                file.write_all_at(&[1; 512], 512).unwrap();
                file.sync_all().unwrap();
            }
        }
    }
}

/// A server that ends with its owner, a shell.
fn owned(scene: &Scene) -> Command {
    let mut owner = scene.command("sh");
    owner.args(["-c", "setpriv --pdeathsig TERM \"$0\" \"$@\" & wait"]);
    owner.arg(PROVIUM);
    owner
}

fn end(scene: &Scene, mount: &Mount, way: &str) {
    let point = mount.point().display().to_string();
    match way {
        "provium umount" => assert_ok(&scene.provium(&["umount", &point])),
        "death of the owner" => send(mount.server(), libc::SIGKILL),
        way if way.contains("mount") => {
            let (program, arguments) = way.split_once(' ').unwrap_or((way, ""));
            unmount_by(|| {
                let mut command = scene.command(program);
                let arguments = arguments.split_whitespace();
                command.args(arguments).arg(&point).output().unwrap()
            });
        }
        signal => {
            let mut kill = scene.command("kill");
            let pid = mount.server().to_string();
            assert_ok(&kill.args(["-s", signal, &pid]).output().unwrap());
        }
    }
}

fn is_free(image: &std::path::Path) -> bool {
    File::open(image).unwrap().try_lock().is_ok()
}

#[test]
fn mount_is_gone_within_a_second_however_it_ends_and_whatever_came_before() {
    let rounds = rounds();
    let scene = Scene::within(Duration::from_secs(300 + 2 * rounds));
    let mut random = Random::at(fastrand::u64(..), 1);
    let mut longest = (Duration::ZERO, String::new());
    let mut round = 0;
    let mut late = 0;
    while round < rounds {
        let way = WAYS[round as usize % WAYS.len()];
        let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
        let mut mount = match way {
            "death of the owner" => scene.mount_by(owned(&scene)),
            _ => scene.mount_by(scene.command(PROVIUM)),
        };
        let open = random.below(3) == 0 && !NEEDS_IDLE.contains(&way);
        let open = open.then(|| File::open(mount.vda()).unwrap());
        requests(&mount, &mut random, number);
        let what = format!(
            "{way} after {number} requests, a file open: {}",
            open.is_some()
        );
        let begun = Instant::now();
        end(&scene, &mount, way);
        if way.ends_with("--lazy") || way.ends_with("-uz") {
            drop(open); // It is served until it is closed.
        }
        let image = mount.image();
        while !is_free(&image) || scene.processes().iter().any(|(_, line)| is_server(line)) {
            assert!(begun.elapsed() < PATIENCE, "{what}: it stays");
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = begun.elapsed();
        if took > longest.0 {
            longest = (took, what.clone());
        }
        mount.wait_for_end();
        // A machine that is busy is slow now and then, but not each time.
        late = if took < SOON { 0 } else { late + 1 };
        assert!(late < TRIES, "{what}: {took:?}");
        round += u64::from(late == 0);
    }
    scene.found(&format!(
        "{rounds} mounts ended, the slowest in {} ms: {}",
        longest.0.as_millis(),
        longest.1
    ));
}

fn is_server(line: &str) -> bool {
    line.starts_with(PROVIUM)
}

/// A client that writes until a write fails.
fn writer(file: File, place: u64) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let write = |n: u64| file.write_all_at(&[n as u8; 512], place * 512);
        (0..).take_while(|n| write(*n).is_ok()).count() as u64
    })
}

#[test]
fn ending_server_writes_nothing_after_its_last_flush() {
    let scene = Scene::begin();
    for _ in 0..2 {
        let storage = scene.mount();
        let mut mount = scene.serve_image(&storage.vda());
        let mut tail = scene.command("sh");
        tail.args(["-c", "cat | tail -n 1 | cut -d' ' -f3"])
            .stdin(File::open(storage.ctl("vda/trace")).unwrap())
            .stdout(Stdio::piped());
        let tail = tail.spawn().unwrap();
        let open = || File::options().write(true).open(mount.vda()).unwrap();
        let writers: Vec<_> = (0..4).map(|place| writer(open(), place)).collect();
        eventually("they write", || mount.stat("write_requests") > 100);
        mount.signal(libc::SIGTERM);
        assert!(mount.wait_for_end().success());
        let written: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        // A cache is emptied first, which ends with a flush too.
        let flushes = 1 + u64::from(scene.has_cache());
        assert_eq!(storage.stat("flush_requests"), flushes);
        // Its end is that of the trace.
        drop(storage);
        let last = stdout(&tail.wait_with_output().unwrap());
        assert_eq!(last, "flush\n");
        scene.found(&format!(
            "writes until the end: {written:?}, then flushes: {flushes}"
        ));
    }
}
