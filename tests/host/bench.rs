//! `provium bench`, and `mnt-helpers/dev/bench`.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::docs::help_says;
use crate::harness::*;

#[test]
fn bench_measures_each_way_to_an_image_and_changes_nothing() {
    if !has("qemu-img") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), MIB);
    let words = ["bench", "--rounds", "1", "--json", image.to_str().unwrap()];
    let printed = stdout(&provium(&words));
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let members = printed.as_array().unwrap();
    let ways: Vec<_> = members
        .iter()
        .map(|it| format!("{} {} {}", it["place"], it["aio"], it["depth"]).replace('"', ""))
        .collect();
    let all = ["file", "mount"].into_iter().flat_map(|place| {
        let with_depth = move |aio| [1, 16, 4].map(|depth| format!("{place} {aio} {depth}"));
        ["threads", "io_uring", "native"]
            .into_iter()
            .flat_map(with_depth)
    });
    assert_eq!(ways, all.collect::<Vec<_>>());
    for member in members {
        // A kernel may have no io_uring, a file system no direct I/O.
        let rate = member["requests_per_second"].as_f64();
        assert_eq!(rate.is_none(), member["error"].is_string(), "{member}");
        assert!(rate.is_none_or(|rate| rate > 0.0), "{member}");
    }
    assert!(
        members
            .iter()
            .any(|it| it["place"] == "mount" && it["error"].is_null())
    );
    assert_eq!(std::fs::read(&image).unwrap(), vec![0; MIB as usize]);
    help_says("bench", "How often each way is measured [default: 3]");
}

#[test]
fn bench_says_what_it_cannot_measure() {
    let folder = TempDir::new().unwrap();
    let image = |size| new_image(&folder.path().join(format!("{size}.img")), size);
    let bench = |image: &std::path::Path| provium(&["bench", image.to_str().unwrap()]);
    let small = "has 4.0 KiB: an image to measure has at least 1.0 MiB";
    assert_fails(&bench(&image(4096)), 2, &[small]);
    let none = folder.path().join("none.img");
    assert_fails(&bench(&none), 1, &["none.img: No such file or directory"]);
    let mut without_qemu = Command::new(PROVIUM);
    without_qemu
        .arg("bench")
        .arg(image(MIB))
        .env("PATH", "/nonexistent");
    let says = ["qemu-img is not installed; `provium doctor` names the package"];
    assert_fails(&run(&mut without_qemu), 1, &says);
}

/// A bench that a signal ends, and what it makes.
struct Bench {
    child: Child,
    place: TempDir,
}

impl Bench {
    /// What it makes is in a folder of its own, or has its number in the name.
    fn start(program: &Path, words: &[&str]) -> Self {
        let place = TempDir::new().unwrap();
        let passthrough = place.path().join("passthrough");
        write_program(&passthrough, "#!/bin/sh\ntouch $1/vda\nexec sleep 600\n");
        let folder = |name| {
            let folder = place.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let mut bench = Command::new(program);
        bench
            .args(words)
            .env("PROVIUM", PROVIUM)
            .env("PROVIUM_BARE", passthrough)
            .env("TMPDIR", folder("tmp"))
            .env("XDG_RUNTIME_DIR", folder("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let child = bench.spawn().unwrap();
        Self { child, place }
    }

    /// Waits until it has started a process with this in its command line.
    fn wait_for(&self, command: &str) {
        eventually(command, || {
            self.processes().iter().any(|it| it.contains(command))
        });
    }

    /// The command lines of its processes.
    fn processes(&self) -> Vec<String> {
        let mark = format!("XDG_RUNTIME_DIR={}/run", self.place.path().display());
        let read = |process: &Path, file| std::fs::read_to_string(process.join(file)).ok();
        let all = std::fs::read_dir("/proc").unwrap();
        let ours = all.filter_map(|process| {
            let process = process.unwrap().path();
            let environment = read(&process, "environ")?;
            let is_ours = environment.split('\0').any(|it| it == mark);
            is_ours.then(|| read(&process, "cmdline")).flatten()
        });
        ours.map(|command| command.replace('\0', " ")).collect()
    }

    /// Its mounts.
    fn mounts(&self) -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let place = self.place.path().display().to_string();
        let is_ours = |line: &&str| line.contains(&place) || line.contains(&self.name());
        mounts.lines().filter(is_ours).map(str::to_owned).collect()
    }

    /// Its files.
    fn files(&self) -> Vec<PathBuf> {
        let shared = files_in("/dev/shm".as_ref()).into_iter();
        let mut files: Vec<_> = shared
            .filter(|path| path.display().to_string().contains(&self.name()))
            .collect();
        files.extend(files_in(&self.place.path().join("tmp")));
        files.extend(files_in(&self.place.path().join("run/provium")));
        files
    }

    fn name(&self) -> String {
        format!("provium-bench-{}-", self.child.id())
    }

    /// Asserts that it has made what a signal to it and then to its group, as `timeout` sends them, takes away.
    fn ends_without_a_trace(mut self, signal: i32) {
        assert_ne!(self.files(), [] as [PathBuf; 0]);
        assert_ne!(self.mounts(), [] as [String; 0]);
        let id = self.child.id();
        send(id, signal);
        let group = format!("kill -{signal} -{id}");
        run(Command::new("sh").args(["-c", &group]));
        self.child.wait().unwrap();
        eventually("its processes end", || self.processes().is_empty());
        eventually("its mounts end", || self.mounts().is_empty());
        eventually("its files are gone", || self.files().is_empty());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

fn helper() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mnt-helpers/dev/bench")
}

#[test]
fn bench_that_is_stopped_leaves_nothing() {
    if !has("qemu-img") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), MIB);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let bench = Bench::start(PROVIUM.as_ref(), &["bench", image.to_str().unwrap()]);
        bench.wait_for("qemu-img bench -U");
        bench.ends_without_a_trace(signal);
    }
}

#[test]
fn bench_of_the_helpers_that_is_stopped_while_it_measures_leaves_nothing() {
    if !has("qemu-img") {
        return;
    }
    let bench = Bench::start(&helper(), &["--quick", "--rounds", "1"]);
    bench.wait_for("qemu-img bench");
    bench.ends_without_a_trace(libc::SIGTERM);
}

#[test]
fn bench_of_the_helpers_that_is_stopped_among_pending_requests_leaves_nothing() {
    if !has("qemu-img") {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGHUP] {
        let bench = Bench::start(&helper(), &["--pending", "64", "--rounds", "1"]);
        bench.wait_for("qemu-img bench");
        bench.ends_without_a_trace(signal);
    }
}
