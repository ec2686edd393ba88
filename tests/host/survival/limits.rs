//! A server that runs out of file descriptors, of processes, or of memory for held requests.

use std::os::unix::fs::FileExt;
use std::process::Command;

use super::scene::Scene;
use crate::docs::page_says;
use crate::harness::*;

#[test]
fn server_without_file_descriptors_says_so_and_serves_what_it_has() {
    let scene = Scene::begin();
    let image = scene.image("vda.img", MIB);
    let point = scene.path("mnt");
    std::fs::create_dir(&point).unwrap();
    let script = format!(
        "ulimit -n 32; exec {PROVIUM} mount -f {} --disk vda={}",
        point.display(),
        image.display()
    );
    let mut server = scene.command("bash").args(["-c", &script]).spawn().unwrap();
    eventually("the mount answers", || point.join("ctl/version").exists());
    let attach = |n: usize| {
        let image = scene.image(&format!("{n}.img"), 4096);
        let line = format!("d{n} {}", image.display());
        std::fs::write(point.join("ctl/attach"), line)
    };
    let refused = (0..32)
        .find_map(|n| attach(n).err())
        .expect("there are 32 descriptors in all");
    scene.did("attached disks to a server with 32 descriptors until it refused one");
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
    let error = std::fs::read_to_string(point.join("ctl/error")).unwrap();
    assert!(error.contains("Too many open files"), "{error}");
    assert_eq!(std::fs::read(point.join("vda")).unwrap().len() as u64, MIB);
    // Other processes change the list of mounts too.
    let faults = point.join("ctl/vda/faults");
    std::fs::write(&faults, "slow\n").unwrap();
    drop(Bind::make(scene.path(".").as_path(), &scene.path("bind")));
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(std::fs::read_to_string(&faults).unwrap(), "slow\n");
    scene.found(&format!("{}; the others are served", error.trim_end()));
    send(server.id(), libc::SIGTERM);
    assert!(server.wait().unwrap().success());
}

/// An ordinary user with a name, which fusermount3 asks for.
const USER: &str = "nobody";

#[test]
fn mount_that_reports_ready_answers_however_few_processes_may_be_started() {
    if provium::os::sys::uid() != 0 {
        eprintln!(
            "skipped: the limit is that of all processes of a user, and needs one without any"
        );
        return;
    }
    let scene = Scene::begin();
    let place = TempDir::new_in(scene.path(".")).unwrap();
    copy_program(PROVIUM.as_ref(), &place.path().join("the-program"));
    let mut chown = Command::new("chown");
    assert_ok(&run(chown.arg("-R").arg(USER).arg(place.path())));
    assert_ok(&run(Command::new("chmod").arg("755").arg(scene.path("."))));
    let as_user = |script: &str| {
        let place = place.path().display();
        let script = format!("cd {place}; export XDG_RUNTIME_DIR={place}; {script}");
        let mut command = scene.command("setpriv");
        command.args(["--reuid", USER, "--regid", "nogroup", "--clear-groups"]);
        command.args(["bash", "-c", &script]).output().unwrap()
    };
    assert_ok(&as_user("mkdir -m 700 mnt provium"));
    let mut succeeded = Vec::new();
    for limit in 1..12 {
        let mounted = as_user(&format!("ulimit -u {limit}; exec ./the-program mount mnt"));
        succeeded.push(mounted.status.success());
        match mounted.status.success() {
            true => assert_ok(&as_user("cat mnt/ctl/version && ./the-program umount mnt")),
            false => assert_ne!(stderr(&mounted), "", "{limit}: it says why"),
        }
        assert_eq!(
            stdout(&as_user("ls mnt provium")),
            "mnt:\n\nprovium:\n",
            "{limit}"
        );
        // The user may have other mounts.
        let mounts = stdout(&as_user("./the-program status"));
        assert!(
            !mounts.contains(&place.path().display().to_string()),
            "{limit}: {mounts}"
        );
    }
    scene.found(&format!(
        "succeeded with limits from 1 to 11: {succeeded:?}"
    ));
}

#[test]
fn held_writes_beyond_the_limit_are_enomem_and_the_others_are_done_after_release() {
    page_says(
        "docs/security.md",
        "A held write takes memory of the server: at most 1 GiB in all, then ENOMEM",
    );
    page_says(
        "docs/control-files.md",
        "A request beyond it fails with ENOMEM, counted as an error of the host",
    );
    let scene = Scene::begin();
    let image = scene.image("vda.img", 1200 * MIB);
    let mount = scene.serve_image(&image);
    mount.arm("hang op=write");
    let file = open_direct(&mount.vda());
    let limit = mount.stat("held_bytes_limit");
    let (fitting, beyond) = (limit / MIB, 20);
    let data = Pages(vec![7; MIB as usize + 4096]);
    let write = |n: u64| file.write_all_at(data.aligned(), n * MIB);
    let refused = std::thread::scope(|scope| {
        let spawn = |n| {
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            thread.spawn_scoped(scope, move || write(n)).unwrap()
        };
        let held: Vec<_> = (0..fitting).map(spawn).collect();
        eventually("the limit is reached", || {
            mount.stat("held_bytes_of_all_disks") == limit
        });
        scene.did(&format!(
            "{fitting} writes of 1 MiB are held; {beyond} more came"
        ));
        let more: Vec<_> = (fitting..fitting + beyond)
            .map(|n| errno(write(n)))
            .collect();
        assert!(
            more.iter().all(|number| *number == libc::ENOMEM),
            "{more:?}"
        );
        let refused = mount.stat("write_errors_host");
        mount.clear();
        for thread in held {
            thread.join().unwrap().unwrap();
        }
        refused
    });
    assert_eq!(refused, beyond);
    // A cache keeps them until then.
    file.sync_all().unwrap();
    eventually("the memory is given back", || {
        mount.stat("held_bytes_of_all_disks") == 0
    });
    let image = std::fs::File::open(image).unwrap();
    let is_done = |n: u64, byte: u8| {
        let mut found = vec![1; MIB as usize];
        image.read_exact_at(&mut found, n * MIB).unwrap();
        found.iter().all(|b| *b == byte)
    };
    assert!((0..fitting).all(|n| is_done(n, 7)));
    assert!((fitting..fitting + beyond).all(|n| is_done(n, 0)));
    scene.found(&format!(
        "{refused} were ENOMEM and counted; the held ones are in the image"
    ));
}

/// Memory of which a part begins at a page: the kernel splits requests at pages.
struct Pages(Vec<u8>);

impl Pages {
    fn aligned(&self) -> &[u8] {
        let skip = self.0.as_ptr().align_offset(4096);
        &self.0[skip..][..MIB as usize]
    }
}
