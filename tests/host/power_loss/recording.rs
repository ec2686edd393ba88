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
    /// QEMU's blklogwrites, which has no marks.
    Qemu,
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
    /// Records `script`, run by sh with `$mnt`, an ext4 that is made with the options `mkfs` and mounted with
    /// `options`. Files that are there from the start come from `old`. None, with a message, where this machine
    /// cannot do that.
    pub fn of_ext4(
        recorder: Recorder,
        mkfs: &[&str],
        options: &str,
        old: &[(&str, &str)],
        script: &str,
    ) -> Option<Self> {
        if !needs(&["mkfs.ext4", "e2fsck", "debugfs", "losetup", "unshare"]) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let recording = Self { folder };
        let old_files = recording.path("old");
        std::fs::create_dir(&old_files).unwrap();
        for (name, text) in old {
            std::fs::write(old_files.join(name), text).unwrap();
        }
        let image = new_image(&recording.path("disk.img"), 16 * MIB);
        let mut command = Command::new("mkfs.ext4");
        command.args(["-q", "-F", "-d"]).arg(&old_files).args(mkfs);
        assert_ok(&run(command.arg(&image)));
        recording.record(recorder, options, script)
    }

    fn record(self, recorder: Recorder, options: &str, script: &str) -> Option<Self> {
        let disk = recorder.start(&self)?;
        std::fs::create_dir(self.path("mnt")).unwrap();
        // The mount is in a namespace of its own, so it goes with the script. The loop device goes with the mount.
        let script = format!(
            "loop=$(losetup -f --show --direct-io=$direct $disk) || exit 77
            trap 'losetup -d $loop' EXIT
            mount -o {options} $loop $mnt || exit 77
            trap 'umount $mnt; losetup -d $loop' EXIT
            {script}"
        );
        let mut isolated = Command::new("unshare");
        isolated
            .args(["-m", "sh", "-ec", &script])
            .env("disk", &disk.path)
            .env("direct", disk.direct)
            .env("mnt", self.path("mnt"));
        let done = run(&mut isolated);
        disk.end();
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

/// Whether this machine has all `tools`; as [`has`].
pub fn needs(tools: &[&str]) -> bool {
    tools.iter().all(|tool| has(tool))
}

/// A disk that is recorded until [`Disk::end`].
struct Disk {
    path: PathBuf,
    /// Whether its loop device does direct I/O: `on` or `off`.
    direct: &'static str,
    server: Child,
}

impl Disk {
    fn end(mut self) {
        send(self.server.id(), libc::SIGTERM);
        self.server.wait().unwrap();
    }
}

impl Recorder {
    /// Serves the image of `recording` as a file.
    fn start(self, recording: &Recording) -> Option<Disk> {
        match self {
            Self::Qemu => {
                let is_there = has("qemu-storage-daemon");
                is_there.then(|| storage_daemon(recording))
            }
        }
    }
}

fn storage_daemon(recording: &Recording) -> Disk {
    let (image, log) = (recording.path("disk.img"), recording.log());
    std::fs::copy(&image, recording.path("disk.log.base")).unwrap();
    new_image(&log, 0);
    let export = new_image(&recording.path("export"), 0);
    let node = |options: String| ["--blockdev".to_owned(), options];
    let file = |name: &str, path: &Path| {
        let path = path.display();
        let file = format!("driver=raw,node-name={name},file.driver=file,file.filename={path}");
        node(file)
    };
    let server = Command::new("qemu-storage-daemon")
        .args(file("disk", &image))
        .args(file("log", &log))
        .args(node(
            "driver=blklogwrites,node-name=logged,file=disk,log=log".into(),
        ))
        .arg("--export")
        .arg(format!(
            "type=fuse,id=export,node-name=logged,mountpoint={},writable=on",
            export.display()
        ))
        .spawn()
        .unwrap();
    eventually("the export is served", || is_mounted(&export));
    Disk {
        path: export,
        // QEMU 7.2's export mixes up the data of writes that are in flight together (seen). Without direct I/O a
        // loop device sends one at a time.
        direct: "off",
        server,
    }
}
