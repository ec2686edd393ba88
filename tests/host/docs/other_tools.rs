//! The table of docs/faults.md for users of other tools: runs both sides with the same requests.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::*;

/// The result of each of these `qemu-io` commands on an image: `ok`, or the text of its error.
fn outcomes(image: &[&str], commands: &[&str]) -> Vec<String> {
    let outcome = |command: &&str| {
        let mut qemu_io = Command::new("qemu-io");
        qemu_io.args(image).args(["-c", command]);
        let output = run(&mut qemu_io);
        let text = stdout(&output) + &stderr(&output);
        let errors = ["Input/output error", "No space left on device"];
        let error = errors.into_iter().find(|error| text.contains(error));
        error
            .unwrap_or(if output.status.success() {
                "ok"
            } else {
                "failed"
            })
            .to_owned()
    };
    commands.iter().map(outcome).collect()
}

/// The same for commands of one process, which share the state of its driver.
fn outcomes_in_one(image: &[&str], commands: &[&str]) -> Vec<String> {
    let mut qemu_io = Command::new("qemu-io");
    qemu_io.args(image);
    for command in commands {
        qemu_io.args(["-c", command]);
    }
    let output = run(&mut qemu_io);
    // Each command ends with one line of these two kinds; the order is that of the commands.
    let text = stdout(&output);
    let lines = text.lines().filter_map(|line| match line {
        _ if line.contains("failed: ") => line.split("failed: ").nth(1).map(str::to_owned),
        _ if line.contains(" bytes at offset ") => Some("ok".to_owned()),
        _ => None,
    });
    lines.collect()
}

/// The disk of a mount, as qemu-io takes it.
fn ours(mount: &Mount) -> [String; 6] {
    let path = mount.vda().display().to_string();
    ["-t", "none", "-n", "-f", "raw", &path].map(str::to_owned)
}

fn words(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
}

/// nbdkit on an image, with filters; ends with this.
struct Nbdkit(Child, String);

impl Nbdkit {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let socket = folder.join("nbd");
        let image = new_image(&folder.join("nbd.img"), MIB);
        let mut nbdkit = Command::new("nbdkit");
        nbdkit.args(["-f", "-U"]).arg(&socket);
        let (filters, settings): (Vec<&str>, _) =
            args.iter().partition(|arg| arg.starts_with("--filter"));
        nbdkit.args(filters).arg("file").arg(image).args(settings);
        let nbdkit = nbdkit
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("nbdkit listens", || socket.exists());
        Self(nbdkit, format!("nbd+unix:///?socket={}", socket.display()))
    }

    fn image(&self) -> [&str; 3] {
        ["-f", "raw", &self.1]
    }
}

impl Drop for Nbdkit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const REQUESTS: [&str; 5] = [
    "read 0 512",
    "write 0 512",
    "read 30720 512",
    "write 30720 512",
    "read 30208 1024",
];

#[test]
fn blkdebug_inject_error_at_a_sector_once() {
    if !has("qemu-io") {
        return;
    }
    let mount = Mount::of_size(MIB);
    let image = new_image(&mount.folder().join("blkdebug.img"), MIB);
    let rules = mount.folder().join("blkdebug.conf");
    let conf =
        "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"60\"\nonce = \"on\"\n";
    std::fs::write(&rules, conf).unwrap();
    let theirs = format!("blkdebug:{}:{}", rules.display(), image.display());
    let requests = [
        "read 30208 512",
        "read 30720 512",
        "read 30720 512",
        "read 31232 512",
    ];
    let expected = ["ok", "Input/output error", "ok", "ok"];
    assert_eq!(outcomes_in_one(&[&theirs], &requests), expected);
    mount.arm("error op=read errno=EIO at=60+1 times=1");
    assert_eq!(outcomes_in_one(&words(&ours(&mount)), &requests), expected);
}

#[test]
fn nbdkit_error_for_all_reads_or_all_writes() {
    if !has("qemu-io") || !has("nbdkit") {
        return;
    }
    for (setting, rule, failing) in [
        ("pread", "error op=read errno=ENOSPC", ["read"]),
        ("pwrite", "error op=write errno=ENOSPC", ["write"]),
    ] {
        let mount = Mount::of_size(MIB);
        let settings = [
            format!("error-{setting}=ENOSPC"),
            format!("error-{setting}-rate=100%"),
        ];
        let nbdkit = Nbdkit::start(
            mount.folder(),
            &["--filter=error", &settings[0], &settings[1]],
        );
        mount.arm(rule);
        let theirs = outcomes(&nbdkit.image(), &REQUESTS);
        assert_eq!(outcomes(&words(&ours(&mount)), &REQUESTS), theirs, "{rule}");
        let expected = REQUESTS.map(|request| match request.starts_with(failing[0]) {
            true => "No space left on device",
            false => "ok",
        });
        assert_eq!(theirs, expected);
    }
}

#[test]
fn nbdkit_error_rate() {
    if !has("qemu-io") || !has("nbdkit") {
        return;
    }
    let mount = Mount::of_size(MIB);
    let nbdkit = Nbdkit::start(mount.folder(), &["--filter=error", "error-pread-rate=10%"]);
    mount.arm("error op=read errno=EIO p=0.1");
    let reads = ["read 0 512"; 1000];
    for image in [&words(&ours(&mount))[..], &nbdkit.image()] {
        let failed = outcomes_in_one(image, &reads)
            .iter()
            .filter(|read| *read != "ok")
            .count();
        // Five standard deviations, since nbdkit chooses its own seed.
        assert!((53..=147).contains(&failed), "{image:?}: {failed}");
    }
}

#[test]
fn nbdkit_delay_of_reads() {
    if !has("qemu-io") || !has("nbdkit") {
        return;
    }
    let mount = Mount::of_size(MIB);
    let nbdkit = Nbdkit::start(mount.folder(), &["--filter=delay", "rdelay=200ms"]);
    mount.arm("delay op=read by=200ms");
    for image in [&words(&ours(&mount))[..], &nbdkit.image()] {
        let time = |command| {
            let started = Instant::now();
            assert_eq!(outcomes(image, &[command]), ["ok"]);
            started.elapsed()
        };
        // nbdkit's client makes other requests when it opens, so the difference counts.
        let read = time("read 0 512");
        // A machine that is busy is slow now and then, but not each time.
        let write = (0..10).map(|_| time("write 0 512")).min().unwrap();
        assert!(read >= Duration::from_millis(200), "{image:?}: {read:?}");
        assert!(read > write, "{image:?}: {read:?}, {write:?}");
    }
}
