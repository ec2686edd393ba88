//! The frame of one scenario: its folder, its deadline, and the check that it leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::harness::*;

/// In the environment of every process of a scenario: its folder.
const MARKER: &str = "PROVIUM_TEST_SCENE";
/// In the environment of the tests: whether disks have a cache, `volatile` or `off`. Half of the scenarios have one
/// without it.
const CACHE: &str = "PROVIUM_SURVIVAL_CACHE";
/// How long a process that was told to end may take.
const CLEAN_UP: Duration = PATIENCE;

/// One scenario. It is dropped after everything that belongs to it; then no process, mount, socket or temporary
/// file of it may be left.
pub struct Scene {
    folder: TempDir,
    began: Instant,
    has_cache: bool,
    is_late: Arc<AtomicBool>,
    /// Dropped at the end, which ends the watchdog.
    _watched: Sender<()>,
}

/// How long a scenario may take on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(300);

impl Scene {
    /// A scenario that may take five minutes.
    pub fn begin() -> Self {
        Self::within(LONGEST)
    }

    /// One about writes that reach the storage before they are answered.
    pub fn without_cache() -> Self {
        let mut scene = Self::prepare(LONGEST);
        scene.has_cache = false;
        scene
    }

    /// A scenario that may take as long as `limit`. After that its processes are killed, so that nothing waits
    /// for them, and it has failed.
    pub fn within(limit: Duration) -> Self {
        let scene = Self::prepare(limit);
        if scene.has_cache {
            scene.did(&format!(
                "its disks have a cache: {CACHE}=volatile does it again"
            ));
        }
        scene
    }

    fn prepare(limit: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["tmp", "run"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let is_late = Arc::new(AtomicBool::new(false));
        let (watched, end) = channel();
        let (flag, place) = (Arc::clone(&is_late), folder.path().to_owned());
        std::thread::spawn(move || {
            if end.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::SeqCst);
                kill_all(&place);
            }
        });
        Self {
            folder,
            began: Instant::now(),
            has_cache: draw_cache(),
            is_late,
            _watched: watched,
        }
    }

    /// Whether its disks have a volatile cache.
    pub fn has_cache(&self) -> bool {
        self.has_cache
    }

    /// A place in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty image in its folder.
    pub fn image(&self, name: &str, size: u64) -> PathBuf {
        new_image(&self.path(name), size)
    }

    /// A program that is part of the scenario, as are its children.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env(MARKER, self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `provium ARGS` to its end.
    pub fn provium(&self, args: &[&str]) -> Output {
        self.command(PROVIUM).args(args).output().unwrap()
    }

    /// A mount with a disk `vda` of 16 MiB.
    pub fn mount(&self) -> Mount {
        self.mount_by(self.command(PROVIUM))
    }

    /// The same, served by `command`.
    pub fn mount_by(&self, command: Command) -> Mount {
        let folder = self.subfolder();
        let image = new_image(&folder.path().join("vda.img"), 16 * MIB);
        let disk = format!("vda={}", image.display());
        Mount::start(command, folder, &self.with_cache(vec!["--disk", &disk]))
    }

    /// A mount with these disks, each `ID=IMAGE`.
    pub fn serve(&self, disks: &[&str]) -> Mount {
        self.serve_in(self.subfolder(), disks)
    }

    /// A mount whose disk `vda` is the file `image`.
    pub fn serve_image(&self, image: &Path) -> Mount {
        self.serve(&[&format!("vda={}", image.display())])
    }

    fn subfolder(&self) -> TempDir {
        TempDir::new_in(self.folder.path()).unwrap()
    }

    fn serve_in(&self, folder: TempDir, disks: &[&str]) -> Mount {
        let args: Vec<_> = disks.iter().flat_map(|disk| ["--disk", disk]).collect();
        Mount::start(self.command(PROVIUM), folder, &self.with_cache(args))
    }

    fn with_cache<'a>(&self, mut args: Vec<&'a str>) -> Vec<&'a str> {
        if self.has_cache {
            args.extend(["-o", "cache=volatile"]);
        }
        args
    }

    /// Prints a step: which process was killed, and during which work.
    pub fn did(&self, what: &str) {
        self.tell("   ", what);
    }

    /// Prints the finding after the steps.
    pub fn found(&self, what: &str) {
        self.tell("-> ", what);
    }

    fn tell(&self, mark: &str, what: &str) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        let scenario = name.rsplit("::").next().unwrap_or_default();
        println!(
            "{scenario}: {:>5} ms {mark}{what}",
            self.began.elapsed().as_millis()
        );
    }

    /// Its processes, each with its name.
    pub fn processes(&self) -> Vec<(u32, String)> {
        processes_of(self.folder.path())
    }

    /// The number of its process whose command line has `word` in it.
    pub fn process(&self, word: &str) -> u32 {
        let all = self.processes();
        let found = all.iter().find(|(_, line)| line.contains(word));
        found.unwrap_or_else(|| panic!("no {word} in {all:?}")).0
    }

    /// Everything that it has left outside of its folder, one a line.
    pub fn left(&self) -> Vec<String> {
        let place = self.folder.path();
        let processes = self.processes().into_iter();
        let processes = processes.map(|(pid, line)| format!("process {pid}: {line}"));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = |line: &&str| line.contains(&place.display().to_string());
        let mounts = mounts
            .lines()
            .filter(ours)
            .map(|line| format!("mount {line}"));
        let folders = [self.path("tmp"), self.path("run/provium")];
        let files = folders.iter().flat_map(std::fs::read_dir).flatten();
        let files = files.map(|entry| format!("file {}", entry.unwrap().path().display()));
        let found = run(Command::new("find")
            .arg(place)
            .args(["-xdev", "-type", "s"]));
        let sockets = stdout(&found);
        let sockets = sockets.lines().map(|path| format!("socket {path}"));
        processes
            .chain(mounts)
            .chain(files)
            .chain(sockets)
            .collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let deadline = Instant::now() + CLEAN_UP;
        let mut left = self.left();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            left = self.left();
        }
        if !left.is_empty() {
            clean_up(self.folder.path());
        }
        let is_late = self.is_late.load(Ordering::SeqCst);
        if std::thread::panicking() {
            self.tell("-> ", &format!("failed; late: {is_late}; left: {left:?}"));
            return;
        }
        assert!(!is_late, "it took too long, and its processes were killed");
        assert!(left.is_empty(), "left: {left:#?}");
    }
}

fn draw_cache() -> bool {
    match std::env::var(CACHE) {
        Ok(mode) => mode == "volatile",
        Err(_) => fastrand::bool(),
    }
}

/// The processes that have the scenario in `folder` in their environment.
fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let marker = format!("{MARKER}={}\0", folder.display());
    let read = |pid: u32, file: &str| {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let all = provium::os::proc::processes();
    let ours = all.filter(|pid| read(*pid, "environ").contains(&marker));
    ours.map(|pid| (pid, read(pid, "cmdline").replace('\0', " ")))
        .collect()
}

fn kill_all(folder: &Path) {
    for (pid, _) in processes_of(folder) {
        send(pid, libc::SIGKILL);
    }
}

/// Removes everything that a failed scenario has left, so that its folder can be removed.
fn clean_up(folder: &Path) {
    kill_all(folder);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| point.starts_with(&folder.display().to_string())) {
        let _ = provium::os::mounts::unmount(point.as_ref(), true);
    }
}
