//! A mount for a test, and small things that many tests need.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use provium::os::proc::is_stopped;

/// The deadline for what takes no time on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub use tempfile::TempDir;

/// The binary under test.
pub const PROVIUM: &str = env!("CARGO_BIN_EXE_provium");
pub const MIB: u64 = 1 << 20;

/// A mount with a disk `vda` of 16 MiB, in a folder of its own. Unmounted at the end.
pub struct Mount {
    folder: TempDir,
    server: Child,
    /// The run-time folder of its server, if it is not that of this process.
    runtime: Option<OsString>,
}

impl Mount {
    pub fn new() -> Self {
        Self::of_size(16 * MIB)
    }

    pub fn of_size(size: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let image = new_image(&folder.path().join("vda.img"), size);
        Self::serve(folder, &["--disk", &format!("vda={}", image.display())])
    }

    /// A mount with these arguments, kept in `folder`.
    pub fn serve(folder: TempDir, args: &[&str]) -> Self {
        Self::start(Command::new(PROVIUM), folder, args)
    }

    /// The same, served by `command`: the binary under test in some environment.
    pub fn start(mut command: Command, folder: TempDir, args: &[&str]) -> Self {
        let point = folder.path().join("mnt");
        std::fs::create_dir(&point).unwrap();
        command
            .args(["mount", "--foreground"])
            .args(args)
            .arg(&point);
        let mut set = command.get_envs();
        let runtime = set.find_map(|(key, value)| (key == "XDG_RUNTIME_DIR").then_some(value));
        let runtime = runtime.flatten().map(OsStr::to_owned);
        let server = command.stdin(Stdio::null()).spawn().unwrap();
        let mount = Self {
            folder,
            server,
            runtime,
        };
        eventually("the mount answers", || mount.ctl("version").exists());
        mount
    }

    pub fn point(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    pub fn path(&self, disk: &str) -> PathBuf {
        self.point().join(disk)
    }

    pub fn vda(&self) -> PathBuf {
        self.path("vda")
    }

    pub fn image(&self) -> PathBuf {
        self.folder.path().join("vda.img")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn ctl(&self, file: &str) -> PathBuf {
        self.point().join("ctl").join(file)
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.ctl(file)).unwrap()
    }

    /// What `echo TEXT >> FILE` does.
    pub fn append(&self, file: &str, text: &str) -> std::io::Result<()> {
        use std::io::Write;
        let mut file = OpenOptions::new().append(true).open(self.ctl(file))?;
        file.write_all(text.as_bytes())
    }

    pub fn arm(&self, rules: &str) {
        self.append("vda/faults", rules).unwrap();
    }

    pub fn clear(&self) {
        self.append("clear", "1").unwrap();
    }

    /// A counter of `vda`.
    pub fn stat(&self, key: &str) -> u64 {
        stat_in(&self.read("vda/stats"), key)
    }

    pub fn server(&self) -> u32 {
        self.server.id()
    }

    /// A number of /proc/PID/status of the server, as `VmRSS` (KiB) or `Threads`.
    pub fn server_status(&self, key: &str) -> u64 {
        status_of(self.server(), key)
    }

    /// Sends the server a signal. Once this returns, a SIGSTOP has stopped each of its threads.
    pub fn signal(&self, signal: i32) {
        send(self.server.id(), signal);
        if signal == libc::SIGSTOP {
            let tasks = format!("/proc/{}/task", self.server.id());
            eventually("all its threads are stopped", || {
                let threads = std::fs::read_dir(&tasks).unwrap();
                let mut threads = threads.map(|thread| thread.unwrap().file_name());
                threads.all(|id| is_stopped(id.to_str().unwrap().parse().unwrap()))
            });
        }
    }

    /// Kills the server and waits until it is gone.
    pub fn kill_server(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    pub fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.server.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        self.signal(libc::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.server.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
        if is_mounted(&self.point()) {
            let mut umount = Command::new(PROVIUM);
            umount.args(["umount", "--stale"]).arg(self.point());
            let runtime = self.runtime.iter().map(|path| ("XDG_RUNTIME_DIR", path));
            run(umount.envs(runtime));
        }
    }
}

/// A second place for a file or folder; taken away at the end.
pub struct Bind(pub PathBuf);

impl Bind {
    /// None, with a message, if this user may not mount.
    pub fn make(what: &Path, place: &Path) -> Option<Self> {
        match what.is_dir() {
            true => std::fs::create_dir(place).unwrap(),
            false => drop(File::create(place).unwrap()),
        }
        let made = run(Command::new("mount").arg("--bind").args([what, place]));
        if !made.status.success() {
            eprintln!("skipped: cannot mount: {}", stderr(&made));
            return None;
        }
        Some(Self(place.to_owned()))
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = provium::os::mounts::unmount(&self.0, true);
    }
}

/// A number of /proc/PID/status.
pub fn status_of(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = value.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

pub fn stat_in(text: &str, key: &str) -> u64 {
    let pairs: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let found = pairs.iter().find(|(k, _)| *k == key);
    found
        .unwrap_or_else(|| panic!("no {key} in {text}"))
        .1
        .parse()
        .unwrap()
}

pub fn new_image(path: &Path, size: u64) -> PathBuf {
    File::create(path).unwrap().set_len(size).unwrap();
    path.to_owned()
}

/// Sends a signal to a process that this test started.
pub fn send(pid: u32, signal: i32) {
    let signal = format!("-{signal}");
    let _ = Command::new("kill")
        .args([&signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

pub fn is_mounted(point: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&format!(" {} ", point.display()))
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs a shell script with `$m` set to the mount point.
pub fn shell(shell: &str, mount: &Mount, script: &str) -> Output {
    run(Command::new(shell)
        .args(["-c", script])
        .env("m", mount.point()))
}

/// Copies `from` to `to` as a program. A child does it: what this process has open for writing is open for a moment in each
/// child of another test too, and such a file does not run ("Text file busy").
pub fn copy_program(from: &Path, to: &Path) {
    let mut install = Command::new("install");
    assert_ok(&run(install.args(["-m", "755"]).arg(from).arg(to)));
}

/// Writes a program, likewise.
pub fn write_program(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    copy_program(&draft, path);
    std::fs::remove_file(draft).unwrap();
}

pub fn provium(args: &[&str]) -> Output {
    run(Command::new(PROVIUM).args(args))
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn assert_ok(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        stdout(output),
        stderr(output)
    );
}

/// `provium COMMAND MNT/FILE WORDS`, or `provium COMMAND MNT WORDS` for an empty file.
pub fn on(mount: &Mount, command: &str, file: &str, words: &[&str]) -> Output {
    let path = match file {
        "" => mount.point(),
        file => mount.path(file),
    };
    provium(&[&[command, &path.display().to_string()], words].concat())
}

/// Asserts that the command failed with this exit code, and that its message has all `texts`.
pub fn assert_fails(output: &Output, code: i32, texts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for text in texts {
        assert!(message.contains(text), "{text:?} is not in: {message}");
    }
}

/// Waits until `done`, for as long as [`PATIENCE`].
pub fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, done);
}

/// As [`eventually`], for as long as `limit`.
pub fn eventually_within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Calls `work` with a time in seconds until it returns something, with twice the time each time: on a busy machine,
/// what is to come within it comes later.
pub fn in_ample_time<T>(mut work: impl FnMut(f64) -> Option<T>) -> T {
    let mut seconds = 0.5;
    loop {
        if let Some(found) = work(seconds) {
            return found;
        }
        seconds *= 2.0;
        assert!(seconds < PATIENCE.as_secs_f64(), "it never comes in time");
    }
}

/// Unmounts with a command that fails while the mount is busy. It is for a moment, while a process that another test
/// starts still has our files open.
pub fn unmount_by(mut command: impl FnMut() -> Output) {
    let deadline = Instant::now() + PATIENCE;
    let mut output = command();
    while stderr(&output).contains("busy") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
        output = command();
    }
    assert_ok(&output);
}

/// How long `work` takes: the quickest time of at least five, and of all in a minute if none is below `limit`. Other
/// load on this machine adds to a time.
pub fn quickest(limit: Duration, mut work: impl FnMut()) -> Duration {
    let deadline = Instant::now() + PATIENCE;
    let mut time = || {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    let mut best = (0..5).map(|_| time()).min().unwrap();
    while best >= limit && Instant::now() < deadline {
        best = best.min(time());
    }
    best
}

/// Whether this machine has `tool`. With CI set a missing one fails the test; otherwise a message says that the
/// test is skipped.
pub fn has(tool: &str) -> bool {
    succeeds(tool, &format!("command -v {tool}"))
}

/// Whether the distribution's Python has `module`; as with [`has`].
pub fn has_python(module: &str) -> bool {
    succeeds(module, &format!("/usr/bin/python3 -c 'import {module}'"))
}

fn succeeds(what: &str, check: &str) -> bool {
    let output = Command::new("sh").args(["-c", check]).output().unwrap();
    let found = output.status.success();
    assert!(found || std::env::var_os("CI").is_none(), "CI lacks {what}");
    if !found {
        eprintln!("skipped: {what} is not there");
    }
    found
}

/// Whether this process may make mounts and namespaces; as with [`has`].
pub fn can_isolate() -> bool {
    succeeds("the right to unshare", "unshare -m -p -f true")
}

pub fn open_direct(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .unwrap()
}

/// A buffer that direct I/O takes.
#[repr(align(512))]
pub struct AlignedSector(pub [u8; 512]);

/// One that fills a page.
#[repr(align(4096))]
pub struct AlignedPage(pub [u8; 4096]);

pub fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// Reads one sector of `vda`.
pub fn read_sector(mount: &Mount, sector: u64) -> std::io::Result<()> {
    let file = File::open(mount.vda()).unwrap();
    file.read_exact_at(&mut [0; 512], sector * 512)
}

/// A process that has a folder of this kind in `runtime`, and of which one thread ends a second later than the main one:
/// as a killed process may, it has its locks until then.
pub fn ending_owner(runtime: &Path, kind: &str) -> Child {
    let script = "import ctypes, fcntl, os, sys, threading, time
folder = f'{sys.argv[1]}/{sys.argv[2]}-{os.getpid()}-00000000'
os.makedirs(folder + '/mnt', 0o700)
fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
threading.Thread(target=time.sleep, args=[1]).start()
ctypes.CDLL(None).pthread_exit(None)";
    let mut python = Command::new("python3");
    let child = python.args(["-c", script]).arg(runtime).arg(kind).spawn();
    let child = child.unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    let state = || std::fs::read_to_string(&stat).unwrap();
    eventually("its main thread has ended", || state().contains(") Z"));
    child
}
