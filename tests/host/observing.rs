//! Watching a disk: the trace, latencies, warnings, who has it, `provium top`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::*;
use crate::promises::promised;
use crate::terminal::Terminal;

/// A `cat` that reads the trace from now on.
fn tracer(mount: &Mount) -> (Child, BufReader<ChildStdout>) {
    let mut cat = Command::new("cat");
    cat.arg(mount.ctl("vda/trace")).stdout(Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    let fds = format!("/proc/{}/fd", cat.id());
    let trace = mount.ctl("vda/trace");
    eventually("cat has it open", || {
        let links = std::fs::read_dir(&fds).unwrap();
        links
            .flatten()
            .any(|fd| fd.path().read_link().is_ok_and(|file| file == trace))
    });
    let output = BufReader::new(cat.stdout.take().unwrap());
    (cat, output)
}

fn read_sector(mount: &Mount, sector: u64) -> std::io::Result<()> {
    let file = std::fs::File::open(mount.vda()).unwrap();
    file.read_exact_at(&mut [0; 512], sector * 512)
}

#[test]
fn each_request_is_a_line_of_the_trace_with_its_verdict_and_its_rules() {
    let mount = Mount::new();
    let (_cat, mut lines) = tracer(&mount);
    read_sector(&mount, 7).unwrap();
    mount.arm("error op=read errno=ENOSPC at=8+1\ndelay op=read by=20ms at=8+1\nlose op=write");
    assert_eq!(errno(read_sector(&mount, 8)), libc::ENOSPC);
    let file = std::fs::File::options()
        .write(true)
        .open(mount.vda())
        .unwrap();
    file.write_all_at(&[1; 1024], 512).unwrap();
    file.sync_all().unwrap();
    let mut next = || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let words: Vec<_> = line.trim_end().splitn(8, ' ').map(str::to_owned).collect();
        assert!(
            words[1].parse::<f64>().is_ok() && words[6].ends_with("ms"),
            "{line}"
        );
        let latency: f64 = words[6].trim_end_matches("ms").parse().unwrap();
        (
            [
                &words[0], &words[2], &words[3], &words[4], &words[5], &words[7],
            ]
            .map(Clone::clone),
            latency,
        )
    };
    assert_eq!(next().0, ["1", "read", "7", "1", "ok", "-"]);
    let (failed, latency) = next();
    let rules = "delay op=read by=20ms at=8+1; error op=read errno=ENOSPC at=8+1";
    assert_eq!(failed, ["2", "read", "8", "1", "delayed+ENOSPC", rules]);
    assert!(latency >= 20.0, "{latency}");
    assert_eq!(next().0, ["3", "write", "1", "2", "lost", "lose op=write"]);
    assert_eq!(next().0, ["4", "flush", "0", "0", "ok", "-"]);
}

#[test]
fn a_reader_that_waits_for_the_trace_ends_at_ctrl_c_and_with_the_server() {
    let mut mount = Mount::new();
    let (mut cat, _lines) = tracer(&mount);
    std::thread::sleep(Duration::from_millis(200));
    assert!(cat.try_wait().unwrap().is_none(), "it waits");
    send(cat.id(), libc::SIGINT);
    eventually("cat ends", || cat.try_wait().unwrap().is_some());
    let (mut cat, _lines) = tracer(&mount);
    mount.signal(libc::SIGTERM);
    mount.wait_for_end();
    assert!(
        cat.wait().unwrap().success(),
        "it finds the end of the file"
    );
}

#[test]
fn a_read_of_the_trace_waits_for_a_line_and_one_that_must_not_is_eagain() {
    let mount = Mount::new();
    let mut trace = std::fs::File::open(mount.ctl("vda/trace")).unwrap();
    let mut options = std::fs::File::options();
    let mut impatient = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(mount.ctl("vda/trace"))
        .unwrap();
    let mut text = [0; 4096];
    assert_eq!(errno(impatient.read(&mut text)), libc::EAGAIN);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || trace.read(&mut [0; 4096]).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished());
        read_sector(&mount, 3).unwrap();
        let n = impatient.read(&mut text).unwrap();
        assert!(text[..n].starts_with(b"1 ") && text[..n].ends_with(b" -\n"));
        assert_eq!(waiting.join().unwrap(), n);
    });
    assert_eq!(errno(impatient.read(&mut text)), libc::EAGAIN);
}

/// The processor time that a process has used, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<_> = fields.split(' ').collect();
    [fields[11], fields[12]]
        .map(|time| time.parse::<u64>().unwrap())
        .iter()
        .sum()
}

#[test]
fn a_reader_of_the_trace_outside_of_the_servers_pid_namespace_waits_and_can_be_ended() {
    if provium::os::sys::uid() != 0 {
        return eprintln!("skipped: only root may make a PID namespace");
    }
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let disk = format!("vda={}", image.display());
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--fork", "--kill-child=TERM", PROVIUM]);
    let mount = Mount::start(apart, folder, &["--disk", &disk]);
    let (mut cat, mut lines) = tracer(&mount);
    std::thread::sleep(Duration::from_millis(1200));
    assert!(processor_time(cat.id()) <= 5, "it waits");
    read_sector(&mount, 7).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains(" read 7 1 ok "), "{line}");
    let began = Instant::now();
    send(cat.id(), libc::SIGINT);
    eventually("cat ends", || cat.try_wait().unwrap().is_some());
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn poll_is_not_asked_of_the_mount_and_takes_every_file_for_ready() {
    let mount = Mount::new();
    for file in [mount.ctl("vda/trace"), mount.ctl("vda/stats"), mount.vda()] {
        let file = std::fs::File::open(file).unwrap();
        let ready = || provium::os::sys::wait_readable(&file, Duration::from_secs(5)).unwrap();
        assert!(ready() && ready());
    }
}

#[test]
fn a_slow_reader_of_the_trace_holds_nobody_up_and_sees_how_many_lines_it_lost() {
    const READS: u64 = 20_000;
    let mount = Mount::new();
    let trace = std::fs::File::open(mount.ctl("vda/trace")).unwrap();
    let disk = open_direct(&mount.vda());
    let mut sector = AlignedSector([0; 512]);
    for _ in 0..READS {
        disk.read_at(&mut sector.0, 0).unwrap();
    }
    let (mut told, mut lost) = (0, 0);
    for line in BufReader::new(trace).lines() {
        let line = line.unwrap();
        match line.strip_prefix("# ") {
            Some(text) => {
                lost += text
                    .strip_suffix(" lines were lost")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            }
            None => told += 1,
        }
        if told + lost == READS {
            break;
        }
    }
    assert!(told > 1000 && lost > 0, "{told} told, {lost} lost");
}

#[test]
fn latencies_are_counted_from_arrival_to_answer() {
    let mount = Mount::new();
    let stat = |key: &str| mount.stat(key);
    for _ in 0..20 {
        read_sector(&mount, 0).unwrap();
    }
    assert_eq!(stat("read_answered"), 20);
    let unharmed = stat("read_latency_ns_p50");
    assert!(0 < unharmed && unharmed < 20_000_000, "{unharmed}");
    mount.arm("slow");
    for _ in 0..40 {
        read_sector(&mount, 0).unwrap();
    }
    assert!(stat("read_latency_ns_p50") >= 50_000_000);
    assert!(stat("read_latency_ns_max") >= stat("read_latency_ns_p99"));
    assert!(stat("read_latency_ns_sum") >= 40 * 50_000_000);
    assert_eq!(stat("write_latency_ns_p50"), 0);
}

#[test]
fn a_rule_considers_what_comes_to_it_and_matches_less() {
    let mount = Mount::new();
    mount.arm("error op=read errno=EIO at=0+8 size=1024..\neio_read at=4+1");
    read_sector(&mount, 0).unwrap();
    read_sector(&mount, 9).unwrap();
    assert_eq!(errno(read_sector(&mount, 4)), libc::EIO);
    let rules = mount.read("vda/rules");
    let lines: Vec<_> = rules.lines().collect();
    assert!(
        lines[0].contains(" considered=2 matched=0 fired=0 left=- "),
        "{rules}"
    );
    assert!(
        lines[1].contains(" considered=1 matched=1 fired=1 left=- "),
        "{rules}"
    );
}

#[test]
fn whoever_arms_a_rule_that_can_never_act_is_told() {
    let mount = Mount::new();
    let disk = mount.vda().display().to_string();
    let told = |rules: &[&str], what: &str| {
        let args = [&["fault", &disk, "--set"], rules].concat();
        let output = provium(&args);
        assert_ok(&output);
        let told = format!("provium: warning: `{}`{what}\n", rules.last().unwrap());
        assert_eq!(stderr(&output), told);
    };
    let warned = |rules: &[&str], reason: &str| told(rules, &format!(" can never act: {reason}"));
    told(
        &["eio_read at=32768+1"],
        ": the disk ends before its sectors: it has 32768, and a guest asks for no more",
    );
    told(
        &["delay op=write by=1ms", "delay op=write by=1ms"],
        ": armed 2 times and acts once: equal rules are one; a `tag=` makes two of them",
    );
    warned(
        &["eio_read when=a tag=a"],
        "no other rule with the tag `a` can act",
    );
    warned(&["eio_read times=0"], "times=0");
    warned(&["eio_read when=first"], "no rule has the tag `first`");
    warned(
        &["error op=flush errno=EIO at=0+1"],
        "a flush has no sectors",
    );
    warned(
        &["eio_read", "error op=read errno=ENOSPC at=1+1"],
        "`eio_read` stands before it and decides first",
    );
    let armed = provium(&["fault", &disk, "--set", "eio_read at=32767+1", "slow"]);
    assert_eq!(stderr(&armed), "");
    mount.arm("eio_read at=40000+1");
    assert!(
        mount
            .read("vda/rules")
            .contains(" note: the disk ends before its sectors")
    );
}

#[test]
fn a_read_only_disk_sees_no_writes() {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    let mount = Mount::serve(folder, &["--disk", &format!("vda={},ro", image.display())]);
    mount.arm("eio_write");
    assert!(
        mount
            .read("vda/rules")
            .contains(" never: the disk is read-only and sees no write,zero")
    );
}

#[test]
fn status_says_whether_the_guest_of_a_qemu_sees_errors() {
    if !has("qemu-system-x86_64") {
        return;
    }
    let mount = Mount::new();
    let status = |drive: &str| {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-S", "-nodefaults", "-display", "none", "-drive"]);
        qemu.arg(format!(
            "file={},format=raw,if=virtio,cache=none,{drive}",
            mount.vda().display()
        ));
        let mut qemu = qemu.stdin(Stdio::null()).spawn().unwrap();
        eventually("QEMU has the disk open", || mount.stat("open_files") > 0);
        let shown = stdout(&provium(&["status", &mount.point().display().to_string()]));
        qemu.kill().unwrap();
        qemu.wait().unwrap();
        eventually("QEMU is gone", || mount.stat("open_files") == 0);
        shown
    };
    assert!(status("werror=report,rerror=report").contains("its guest sees every error"));
    let swallowed = status("werror=report,rerror=ignore");
    assert!(
        swallowed.contains("the guest is told that all is well (rerror=ignore): set rerror=report")
    );
}

#[test]
fn of_a_disk_that_was_plugged_into_a_qemu_status_says_that_it_cannot_tell() {
    promised("docs/faults.md", "of these it says that it cannot tell");
    if !has("qemu-system-x86_64") {
        return;
    }
    let mount = Mount::new();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-S", "-nodefaults", "-display", "none", "-qmp", "stdio"]);
    let mut qemu = qemu
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let node = serde_json::json!({
        "execute": "blockdev-add",
        "arguments": {
            "driver": "raw",
            "node-name": "vda",
            "file": { "driver": "file", "filename": mount.vda() },
        },
    });
    let mut commands = qemu.stdin.take().unwrap();
    writeln!(commands, "{{\"execute\": \"qmp_capabilities\"}} {node}").unwrap();
    eventually("QEMU has the disk open", || mount.stat("open_files") > 0);
    let point = mount.point().display().to_string();
    let shown = stdout(&provium(&["status", &point]));
    let json = stdout(&provium(&["status", &point, "--json"]));
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    assert!(
        shown.contains("whether its guest sees errors is not known from outside"),
        "{shown}"
    );
    assert!(json.contains("\"visible\": null"), "{json}");
}

#[test]
fn top_is_a_table_in_a_pipe_and_on_a_terminal_of_80_columns_ends_at_q() {
    let mount = Mount::new();
    mount.arm("eio_read at=1+1,2+1,3+1,4+1,5+1,6+1,7+1,8+1 tag=a-rule-with-a-long-name");
    let point = mount.point().display().to_string();
    let once = provium(&["top", &point, "--interval", "10ms", "--count", "2"]);
    assert_ok(&once);
    assert_eq!(stdout(&once).matches("DISK  READ/s").count(), 2);
    assert_fails(
        &provium(&["top", &point, "--interval", "0"]),
        2,
        &["--interval 0 is no time between two looks"],
    );
    if !has("tmux") {
        return;
    }
    let command = format!("{PROVIUM} top {point} --interval 50ms; echo over; sleep 60");
    let terminal = Terminal::start(mount.folder(), 80, 10, &command);
    let shown = terminal.until("vda");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    assert!(
        shown.contains("eio_read at=1+1") && shown.contains("…"),
        "{shown}"
    );
    terminal.press("x");
    terminal.press("q");
    assert!(!terminal.until("over").contains("READ/s"));
}

#[test]
fn a_full_standard_output_is_a_sentence() {
    let mount = Mount::new();
    let script = format!("{PROVIUM} status {} > /dev/full", mount.point().display());
    let output = shell("bash", &mount, &script);
    assert_fails(
        &output,
        1,
        &["provium: cannot write to standard output: No space left"],
    );
    assert_eq!(stderr(&output).lines().count(), 1);
}

#[test]
fn what_only_prints_ends_silently_when_nobody_reads_on() {
    let mount = Mount::new();
    let point = mount.point();
    for command in ["status", "top --interval 10ms"] {
        let script = format!("{PROVIUM} {command} {} | true", point.display());
        let started = Instant::now();
        let output = shell("bash", &mount, &script);
        assert_eq!(stderr(&output), "", "{command}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
