//! What the end of the server leaves: a kill leaves what a power cut leaves, any other end leaves everything.

use std::process::Command;

use provium::fault::Random;

use super::histories::{Client, SIZE, live_through, steps};
use super::model::Model;
use super::*;
use crate::integrity::{seed, setting};

/// Two small disks with a cache, that have lived through the same history; and the model of it.
fn after_a_history(random: &mut Random) -> (Mount, Model) {
    let folder = TempDir::new().unwrap();
    let disk = |id: &str| {
        let image = new_image(&folder.path().join(format!("{id}.img")), SIZE as u64);
        format!("{id}={},cache=volatile", image.display())
    };
    let (vda, vdb) = (disk("vda"), disk("vdb"));
    let mount = Mount::serve(folder, &["--disk", &vda, "--disk", &vdb]);
    let steps = steps(random, 60);
    let mut models = [Model::of_size(SIZE), Model::of_size(SIZE)];
    for (disk, model) in ["vda", "vdb"].into_iter().zip(&mut models) {
        let client = Client::of(&mount, disk);
        live_through(&mount, disk, &client, model, &steps);
    }
    let [model, _] = models;
    (mount, model)
}

#[test]
fn kill_of_the_server_leaves_exactly_what_a_cut_that_keeps_nothing_leaves() {
    let (histories, seed) = (setting("PROVIUM_KILL_HISTORIES", 30), seed());
    let mut lost = 0;
    for history in 0..histories {
        let (mut mount, model) = after_a_history(&mut Random::at(seed, history));
        let before = ["vda", "vdb"].map(|disk| image_of(&mount, disk));
        assert!(before.iter().all(|image| *image == model.durable));
        let report = cut(&mount, "cut keep=none");
        assert_eq!(report.lost, model.pending.len() as u64);
        mount.kill_server();
        let [cut, killed] = ["vda", "vdb"].map(|disk| image_of(&mount, disk));
        assert!(
            cut == model.durable,
            "seed {seed}, history {history}: the cut"
        );
        assert!(
            killed == model.durable,
            "seed {seed}, history {history}: the kill"
        );
        lost += u64::from(model.seen() != model.durable);
    }
    assert!(
        lost > histories / 2,
        "{lost} of {histories} histories had something to lose"
    );
}

#[test]
fn end_of_a_mount_a_detach_and_the_end_of_a_cache_lose_nothing() {
    let seed = seed();
    let signal = |signal| move |mount: &mut Mount| mount.signal(signal);
    let command = |program: &'static str, args: &'static [&str]| {
        move |mount: &mut Mount| {
            unmount_by(|| run(Command::new(program).args(args).arg(mount.point())));
        }
    };
    type End = Box<dyn Fn(&mut Mount)>;
    let ends: [(&str, End); 8] = [
        ("SIGTERM", Box::new(signal(libc::SIGTERM))),
        ("SIGINT", Box::new(signal(libc::SIGINT))),
        ("SIGHUP", Box::new(signal(libc::SIGHUP))),
        ("provium umount", Box::new(command(PROVIUM, &["umount"]))),
        (
            "umount --force",
            Box::new(command(PROVIUM, &["umount", "--force"])),
        ),
        ("umount -l", Box::new(command("umount", &["-l"]))),
        ("umount", Box::new(command("umount", &[]))),
        ("fusermount3 -u", Box::new(command("fusermount3", &["-u"]))),
    ];
    for (number, (name, end)) in (0..).zip(ends) {
        let (mut mount, model) = after_a_history(&mut Random::at(seed, number));
        end(&mut mount);
        mount.wait_for_end();
        for disk in ["vda", "vdb"] {
            assert!(
                image_of(&mount, disk) == model.seen(),
                "seed {seed}: {name}, {disk}"
            );
        }
    }
    for number in 100..103 {
        let (mount, model) = after_a_history(&mut Random::at(seed, number));
        mount.append("detach", "vda").unwrap();
        mount.append("vdb/cache", "off").unwrap();
        for disk in ["vda", "vdb"] {
            assert!(
                image_of(&mount, disk) == model.seen(),
                "seed {seed}: {disk}"
            );
        }
        assert_eq!(mount.read("vdb/cache"), "off\n");
        assert!(pending_of(&mount, "vdb").is_empty());
    }
}
