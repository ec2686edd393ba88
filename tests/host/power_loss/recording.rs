//! Recording what a script does to a file system, and judging the states that it may leave.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;

use crate::harness::*;

/// Takes the image at `{}` through the recovery of its file system, as mounting it does.
pub const RECOVER: &str = "e2fsck -y -E journal_only {} > /dev/null 2>&1;";

/// What records.
#[derive(Clone, Copy)]
pub enum Recorder {
    /// A mount with a volatile cache.
    Provium,
    /// QEMU's blklogwrites, which has no marks.
    Qemu,
}

/// What is done to a file system.
pub struct Scene<'a> {
    pub recorder: Recorder,
    /// Options of mkfs.ext4.
    pub mkfs: &'a [&'a str],
    /// Options of mount.
    pub options: &'a str,
    /// A script for sh that makes the files which are there from the start, in its folder.
    pub files: &'a str,
    /// The script that is recorded, for sh: `$mnt` is the file system, and what is written to `$mark` is a mark of
    /// the log.
    pub script: &'a str,
}

impl Default for Scene<'_> {
    fn default() -> Self {
        Self {
            recorder: Recorder::Provium,
            mkfs: &[],
            options: "defaults",
            files: "",
            script: "",
        }
    }
}

/// A log, with what its disk held first beside it.
pub struct Recording {
    folder: TempDir,
}

/// What was found of all states.
pub struct Found {
    pub states: usize,
    pub bad: usize,
    /// The exit codes of the bad ones.
    pub codes: BTreeSet<i64>,
    /// The last line of `provium states --json`.
    pub summary: Value,
}

impl Recording {
    /// None, with a message, where this machine cannot do that.
    pub fn of_ext4(scene: &Scene<'_>) -> Option<Self> {
        let tools = ["mkfs.ext4", "e2fsck", "debugfs", "losetup", "unshare"];
        if !tools.into_iter().all(has) {
            return None;
        }
        let recording = Self {
            folder: TempDir::new().unwrap(),
        };
        let files = recording.path("files");
        std::fs::create_dir(&files).unwrap();
        let mut made = Command::new("sh");
        assert_ok(&run(made.args(["-ec", scene.files]).current_dir(&files)));
        let image = new_image(&recording.path("disk.img"), 16 * MIB);
        let mut made = Command::new("mkfs.ext4");
        made.args(["-q", "-F", "-d"]).arg(files).args(scene.mkfs);
        assert_ok(&run(made.arg(&image)));
        recording.record(scene)
    }

    fn record(self, scene: &Scene<'_>) -> Option<Self> {
        let disk = match scene.recorder {
            Recorder::Provium => Disk::of_provium(&self),
            Recorder::Qemu if has("qemu-storage-daemon") => Disk::of_qemu(&self),
            Recorder::Qemu => return None,
        };
        std::fs::create_dir(self.path("mnt")).unwrap();
        // The mount is in a namespace of its own, and so it goes with the script at the latest.
        let script = format!(
            "loop=$(losetup -f --show --direct-io=$direct $disk) || exit 77
            trap 'losetup -d $loop' EXIT
            mount -o {} $loop $mnt || exit 77
            trap 'umount $mnt; losetup -d $loop' EXIT
            {}",
            scene.options, scene.script
        );
        let isolated = "unshare -m true || exit 77; exec unshare -m sh -ec \"$script\"";
        let done = run(Command::new("sh")
            .args(["-c", isolated])
            .env("script", script)
            .env("mnt", self.path("mnt"))
            .env("disk", &disk.path)
            .env("direct", disk.direct)
            .env("mark", &disk.mark));
        drop(disk);
        if done.status.code() == Some(77) {
            eprintln!("skipped: cannot mount: {}", stderr(&done));
            return None;
        }
        assert_ok(&done);
        Some(self)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> PathBuf {
        self.path("disk.log")
    }

    fn image(&self) -> PathBuf {
        self.path("disk.img")
    }

    /// Asks `check` about each state.
    pub fn judged(&self, check: &str, args: &[&str]) -> Found {
        judged(&self.log(), &[&["--check", check], args].concat())
    }
}

/// What `provium states LOG ARGS` finds.
pub fn judged(log: &Path, args: &[&str]) -> Found {
    let mut states = Command::new(PROVIUM);
    let output = run(states.arg("states").arg(log).args(args).arg("--json"));
    let lines = stdout(&output);
    let mut lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop();
    let summary = last.unwrap_or_else(|| panic!("{}", stderr(&output)))["summary"].take();
    let bad = lines.iter().filter(|state| state["verdict"] == "bad");
    Found {
        states: lines.len(),
        bad: bad.clone().count(),
        codes: bad.map(|state| state["code"].as_i64().unwrap()).collect(),
        summary,
    }
}

/// A disk that is recorded until it is dropped.
struct Disk {
    path: PathBuf,
    mark: PathBuf,
    /// Whether its loop device does direct I/O: `on` or `off`.
    direct: &'static str,
    _server: Server,
}

enum Server {
    Provium(Mount),
    Qemu(Child),
}

impl Drop for Server {
    fn drop(&mut self) {
        match self {
            Self::Provium(mount) => mount.append("vda/log", "stop").unwrap(),
            Self::Qemu(daemon) => {
                send(daemon.id(), libc::SIGTERM);
                let _ = daemon.wait();
            }
        }
    }
}

impl Disk {
    fn of_provium(recording: &Recording) -> Self {
        let disk = format!("vda={},cache=volatile", recording.image().display());
        let mount = Mount::serve(TempDir::new().unwrap(), &["--disk", &disk]);
        let start = format!("start {}", recording.log().display());
        mount.append("vda/log", &start).unwrap();
        Self {
            path: mount.vda(),
            mark: mount.ctl("vda/mark"),
            direct: "on",
            _server: Server::Provium(mount),
        }
    }

    fn of_qemu(recording: &Recording) -> Self {
        let (image, log) = (recording.image(), recording.log());
        std::fs::copy(&image, recording.path("disk.log.base")).unwrap();
        new_image(&log, 0);
        let export = new_image(&recording.path("export"), 0);
        let file = |name: &str, path: &Path| {
            let path = path.display();
            format!("driver=raw,node-name={name},file.driver=file,file.filename={path}")
        };
        let logged = "driver=blklogwrites,node-name=logged,file=disk,log=log";
        let mut daemon = Command::new("qemu-storage-daemon");
        for node in [file("disk", &image), file("log", &log), logged.to_owned()] {
            daemon.arg("--blockdev").arg(node);
        }
        let point = export.display();
        let options =
            format!("type=fuse,id=export,node-name=logged,mountpoint={point},writable=on");
        let daemon = daemon.args(["--export", &options]).spawn().unwrap();
        eventually("the export is served", || is_mounted(&export));
        Self {
            path: export,
            mark: "/dev/null".into(),
            // QEMU 7.2's export mixes up the data of writes that are in flight together (seen). Without direct
            // I/O a loop device sends one at a time.
            direct: "off",
            _server: Server::Qemu(daemon),
        }
    }
}
