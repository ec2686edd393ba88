//! The file `trace`: its lines, and the readers that wait for them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use crate::harness::*;
use crate::waiting_readers::cat;

/// A `cat` that reads the trace from now on.
fn tracer(mount: &Mount) -> (Child, BufReader<ChildStdout>) {
    let (cat, output) = cat(mount, "vda/trace");
    (cat, BufReader::new(output))
}

#[test]
fn trace_has_a_line_a_request_with_verdict_and_rules() {
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
fn trace_reader_ends_at_ctrl_c_and_with_the_server() {
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
fn trace_read_waits_for_a_line_and_is_eagain_when_non_blocking() {
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
fn trace_reader_outside_the_servers_pid_namespace_waits_and_can_be_interrupted() {
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
    eventually("it waits", || {
        let before = processor_time(cat.id());
        std::thread::sleep(Duration::from_millis(1200));
        processor_time(cat.id()) - before <= 5
    });
    read_sector(&mount, 7).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains(" read 7 1 ok "), "{line}");
    send(cat.id(), libc::SIGINT);
    eventually("cat ends", || cat.try_wait().unwrap().is_some());
}

#[test]
fn poll_reports_every_file_as_ready_without_asking_the_server() {
    let mount = Mount::new();
    for file in [mount.ctl("vda/trace"), mount.ctl("vda/stats"), mount.vda()] {
        let file = std::fs::File::open(file).unwrap();
        let ready = || provium::os::poll::wait_readable(&file, Duration::from_secs(5)).unwrap();
        assert!(ready() && ready());
    }
}

#[test]
fn trace_slow_reader_is_told_what_it_lost_and_delays_nobody() {
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
