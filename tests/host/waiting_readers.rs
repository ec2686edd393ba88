//! Programs that wait for a line of a stream: in a read, by a pipe from `cat`, and by select(2), poll(2) and epoll(7).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use provium::os::poll::wait_readable;

use crate::docs::page_says;
use crate::harness::*;

/// A `cat` that reads a stream of the mount from now on.
pub fn cat(mount: &Mount, stream: &str) -> (Child, ChildStdout) {
    let stream = mount.ctl(stream);
    let mut cat = Command::new("cat");
    cat.arg(&stream).stdout(Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    let fds = format!("/proc/{}/fd", cat.id());
    eventually("cat has it open", || {
        let links = std::fs::read_dir(&fds).unwrap();
        links
            .flatten()
            .any(|fd| fd.path().read_link().is_ok_and(|file| file == stream))
    });
    let output = cat.stdout.take().unwrap();
    (cat, output)
}

/// Has a rule cut the power at a read.
fn cut(mount: &Mount) {
    mount.arm("cut op=read");
    assert_eq!(errno(read_sector(mount, 7)), libc::EIO);
}

#[test]
fn pipe_from_cat_is_ready_for_poll_once_a_cut_has_its_line_in_the_stream() {
    page_says("docs/control-files.md", "or poll a pipe from `cat trace`");
    let mount = Mount::new();
    let streams = ["events", "vda/trace", "vda/decisions"];
    let cats = streams.map(|stream| (stream, cat(&mount, stream)));
    for (stream, (_, pipe)) in &cats {
        let is_ready = wait_readable(pipe, Duration::from_millis(100)).unwrap();
        assert!(!is_ready, "{stream}");
    }
    cut(&mount);
    for (stream, (mut cat, pipe)) in cats {
        assert!(wait_readable(&pipe, PATIENCE).unwrap(), "{stream}");
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        assert!(line.contains("cut"), "{stream}: {line}");
        send(cat.id(), libc::SIGTERM);
        cat.wait().unwrap();
    }
}

#[test]
fn stream_is_ready_for_select_poll_and_epoll_at_once_and_a_read_has_eagain_until_a_cut() {
    page_says(
        "docs/control-files.md",
        "report every file of a mount as always ready",
    );
    if !has("python3") {
        return;
    }
    const PROGRAM: &str = "
import os, select, sys
streams = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in sys.argv[1:]]
def read(stream):
    assert select.select([stream], [], [], 60)[0] == [stream]
    for wait in (select.poll(), select.epoll()):
        wait.register(stream, select.POLLIN)
        assert wait.poll(60) == [(stream, select.POLLIN)]
    try:
        return os.read(stream, 4096).decode()
    except BlockingIOError:
        return 'EAGAIN'
print([read(stream) for stream in streams], flush=True)
input()
assert all(' cut' in read(stream) for stream in streams)
";
    let mount = Mount::new();
    let mut python = Command::new("python3");
    let streams = ["events", "vda/trace", "vda/decisions"].map(|stream| mount.ctl(stream));
    python.args(["-c", PROGRAM]).args(streams);
    let python = python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let mut said = String::new();
    let output = python.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    assert_eq!(said, "['EAGAIN', 'EAGAIN', 'EAGAIN']\n");
    cut(&mount);
    python.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(python.wait().unwrap().success());
}
