//! The log of a server: what is in it, what is not, and that nothing waits for it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::docs::page_says;
use crate::harness::*;

const PAGE: &str = "docs/server-log.md";

/// A mount of `vda` with a log.
struct Logged {
    mount: Mount,
    log: PathBuf,
}

impl Logged {
    /// The server is started by `command`, and has these options too.
    fn start(command: Command, options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let disk = format!(
            "vda={}",
            new_image(&folder.path().join("vda.img"), MIB).display()
        );
        let log = folder.path().join("server.log");
        let log_option = log.display().to_string();
        let args = [options, &["--log", &log_option, "--disk", &disk]].concat();
        let mount = Mount::start(command, folder, &args);
        Self { mount, log }
    }

    fn new(options: &[&str]) -> Self {
        Self::start(Command::new(PROVIUM), options)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log has all these texts, in this order.
    fn says(&self, texts: &[&str]) {
        let in_order = || {
            let log = self.text();
            let mut rest = log.as_str();
            texts.iter().all(|text| match rest.split_once(text) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        };
        let deadline = Instant::now() + PATIENCE;
        while !in_order() {
            assert!(
                Instant::now() < deadline,
                "{texts:?} not in\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn log_has_what_was_attached_armed_cut_and_rejected_and_why_the_server_ended() {
    page_says(PAGE, "the start, with version and options");
    let mut scene = Logged::new(&["-o", "memory=64M"]);
    let mount = &scene.mount;
    mount.arm("eio_read");
    assert!(mount.append("vda/faults", "no-such-rule").is_err());
    mount.append("power", "cut").unwrap();
    mount.append("power", "on").unwrap();
    mount.clear();
    let log = mount.folder().join("w.log").display().to_string();
    mount.append("vda/log", &format!("start {log}")).unwrap();
    mount.append("vda/log", "stop").unwrap();
    mount.append("detach", "vda").unwrap();
    mount.signal(libc::SIGTERM);
    assert!(scene.mount.wait_for_end().success());
    let caller = format!(" uid={})", provium::os::sys::uid());
    scene.says(&[
        &format!(
            "INFO  [{}] provium {}",
            scene.mount.server(),
            env!("CARGO_PKG_VERSION")
        ),
        "with -o memory=67108864",
        "vda: attached",
        "vda/faults: eio_read (pid=",
        &caller,
        "WARN  ",
        "vda/faults: rejected `no-such-rule`: ",
        "vda: power cut kept=0 lost=0",
        "vda: power on",
        "clear: 1",
        "vda: write log begun",
        "vda: write log stopped",
        "vda: detached",
        "ending: got SIGTERM",
        "ended: unmounted, and all images are flushed",
    ]);
}

#[test]
fn requests_and_reads_of_control_files_leave_no_line() {
    page_says(PAGE, "Requests of clients are not logged");
    let scene = Logged::new(&["--log-level", "debug"]);
    scene.says(&["vda: attached"]);
    let before = scene.text();
    for sector in 0..500 {
        read_sector(&scene.mount, sector).unwrap();
    }
    assert!(scene.mount.stat("read_requests") >= 500);
    scene.mount.append("vda/mark", "last").unwrap();
    scene.says(&["vda/mark: last"]);
    let added = scene.text().len() - before.len();
    assert!(added < 200, "{}", scene.text());
}

#[test]
fn level_chooses_what_is_logged_and_marks_are_for_debugging() {
    let scene = Logged::new(&["--log-level", "warn"]);
    scene.mount.arm("slow");
    scene.mount.append("vda/mark", "quiet").unwrap();
    assert!(scene.mount.append("vda/faults", "nonsense").is_err());
    scene.says(&["rejected `nonsense`"]);
    assert_eq!(scene.text().lines().count(), 1, "{}", scene.text());
}

#[test]
fn log_that_cannot_grow_fails_and_delays_no_request() {
    page_says(
        PAGE,
        "A log that cannot be written delays and fails nothing",
    );
    let mut limited = Command::new("sh");
    // Two blocks of 512 bytes: the log has no room, as on a full disk.
    limited.args(["-c", "ulimit -f 2; exec \"$0\" \"$@\"", PROVIUM]);
    let scene = Logged::start(limited, &[]);
    let begun = Instant::now();
    for round in 0..200 {
        assert!(scene.mount.append("vda/faults", "nonsense").is_err());
        read_sector(&scene.mount, round).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    let log = scene.text();
    assert!(log.len() <= 1024 && log.contains("rejected"), "{log}");
    // Once there is room again, the log says what is missing.
    std::fs::write(&scene.log, "").unwrap();
    assert!(scene.mount.append("vda/faults", "nonsense").is_err());
    scene.says(&[" events could not be logged ...\n"]);
}

#[test]
fn error_of_the_host_is_logged_with_its_request() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\"", PROVIUM]);
    let scene = Logged::start(limited, &[]);
    let file = std::fs::File::options()
        .write(true)
        .open(scene.mount.vda())
        .unwrap();
    use std::os::unix::fs::FileExt;
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(errno(file.write_at(&[1; 1024], 512 << 10)), libc::EFBIG);
    }
    scene.says(&["ERROR [", "vda: the host failed write 1024+2: EFBIG"]);
    let lines = scene.text().matches("the host failed").count() as u64;
    let most = begun.elapsed().as_secs() + 2;
    assert!(lines <= most, "once a second at most: {lines}");
}

#[test]
fn log_that_was_renamed_begins_anew() {
    page_says(PAGE, "To rotate a log, rename it");
    let scene = Logged::new(&[]);
    scene.mount.arm("slow");
    scene.says(&["vda/faults: slow"]);
    let old = scene.log.with_extension("1");
    std::fs::rename(&scene.log, &old).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    scene.mount.arm("eio_write");
    scene.says(&["vda/faults: eio_write"]);
    assert!(!scene.text().contains("slow"));
    let mode = std::fs::metadata(&scene.log).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600, "paths of images are nobody else's business");
}

#[test]
fn panic_of_a_serving_thread_is_logged_and_no_client_hangs() {
    page_says(PAGE, "A panic ends the server in order");
    let mut scene = Logged::new(&[]);
    let probe = scene.mount.path(".panic-for-a-test");
    let begun = Instant::now();
    assert_eq!(errno(std::fs::metadata(probe)), libc::EIO);
    assert!(begun.elapsed() < PATIENCE);
    scene.mount.wait_for_end();
    assert!(!is_mounted(&scene.mount.point()));
    scene.says(&[
        "ERROR [",
        "this is a bug of provium ",
        "thread `fuser-",
        "panicked at src/fuse/adapter.rs:",
        "a test asked for it",
        " provium::",
        "ending: the mount is gone",
    ]);
}

#[test]
fn panic_of_a_server_without_a_log_is_in_a_file_that_doctor_names() {
    page_says(
        PAGE,
        "Without a log it is in the file `panics` of the run-time folder",
    );
    let runtime = TempDir::new().unwrap();
    let mut server = Command::new(PROVIUM);
    server.env("XDG_RUNTIME_DIR", runtime.path());
    let mut mount = Mount::start(server, TempDir::new().unwrap(), &[]);
    let _ = std::fs::metadata(mount.path(".panic-for-a-test"));
    mount.wait_for_end();
    let file = runtime.path().join("provium/panics");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("thread `fuser-") && text.contains("a test asked for it"),
        "{text}"
    );
    let mut doctor = Command::new(PROVIUM);
    let report = run(doctor.arg("doctor").env("XDG_RUNTIME_DIR", runtime.path()));
    let named = format!("a server ended by a bug: see {}", file.display());
    assert!(stdout(&report).contains(&named), "{}", stdout(&report));
}

/// A server in the foreground whose standard error is a file; what is in it at the end.
fn standard_error_of_a_server(options: &[&str], is_journal: bool) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stderr");
    let stderr = std::fs::File::create(&path).unwrap();
    let found = stderr.metadata().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "f=$1; shift; exec \"$0\" \"$@\" 2> \"$f\"", PROVIUM]);
    command.arg(&path).stderr(Stdio::null());
    match is_journal {
        true => command.env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino())),
        false => command.env("JOURNAL_STREAM", "1:2"),
    };
    let mut mount = Mount::start(command, folder, options);
    assert!(mount.append("attach", "nonsense").is_err());
    mount.signal(libc::SIGINT);
    assert!(mount.wait_for_end().success());
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn journal_gets_the_log_of_a_unit_and_a_terminal_gets_nothing() {
    page_says(PAGE, "the journal gets the lines, with their priorities");
    assert_eq!(standard_error_of_a_server(&[], false), "");
    let journal = standard_error_of_a_server(&[], true);
    assert!(journal.starts_with("<6>provium "), "{journal}");
    assert!(
        journal.contains("\n<4>attach: rejected `nonsense`"),
        "{journal}"
    );
    assert!(
        journal.lines().all(|line| line.starts_with('<')),
        "{journal}"
    );
    let named = standard_error_of_a_server(&["--log", "-"], false);
    assert!(
        named.contains(" WARN  [") && named.contains("ending: got SIGINT"),
        "{named}"
    );
}

#[test]
fn log_of_a_server_in_the_background_lies_where_the_command_said() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("mnt")).unwrap();
    let provium = |args: &[&str]| {
        run(Command::new(PROVIUM)
            .args(args)
            .env("PROVIUM_LOG", "warn")
            .current_dir(folder.path()))
    };
    assert_ok(&provium(&["mount", "mnt", "--log", "a.log"]));
    let wrong = provium(&["attach", "mnt", "vda", "none.img"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_ok(&provium(&["umount", "mnt"]));
    eventually("the rejection is in the log", || {
        let log = std::fs::read_to_string(folder.path().join("a.log")).unwrap_or_default();
        log.contains("none.img") && !log.contains("INFO")
    });
    for (log, why) in [
        ("mnt/a.log", "lies in the mount point"),
        ("none/a.log", "cannot write the log"),
    ] {
        assert_fails(&provium(&["mount", "mnt", "--log", log]), 1, &[why]);
    }
    assert_fails(
        &provium(&["mount", "mnt", "--log", "-"]),
        2,
        &["--foreground"],
    );
    assert!(
        Path::new(&folder.path().join("mnt"))
            .read_dir()
            .unwrap()
            .next()
            .is_none()
    );
}
