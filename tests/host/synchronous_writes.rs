//! Synchronous writes on their way to the image, as strace sees the calls of the server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::*;

/// The calls by which the server writes, flushes and answers while `work` is done, as they end; None
/// where this process may not trace it.
fn calls_during(mount: &Mount, work: impl FnOnce()) -> Option<Vec<String>> {
    let calls = mount.folder().join("calls");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-e",
        "trace=pwrite64,pwritev2,fdatasync,fsync,writev",
        "-o",
    ]);
    strace.arg(&calls).args(["-p", &mount.server().to_string()]);
    let mut strace = strace.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(strace.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    let is_attached = said.contains("attached");
    match is_attached {
        true => work(),
        false => eprintln!("skipped: {said}"),
    }
    send(strace.id(), libc::SIGTERM);
    std::thread::spawn(move || stderr.lines().for_each(drop));
    strace.wait().unwrap();
    let calls = std::fs::read_to_string(calls).unwrap_or_default();
    is_attached.then(|| calls.lines().map(str::to_owned).collect())
}

#[test]
fn synchronous_write_is_on_stable_storage_before_its_answer() {
    if !has("strace") {
        return;
    }
    let mount = Mount::new();
    let dd = "dd if=/dev/zero of=$m/vda bs=512 count=1 oflag=direct,dsync conv=notrunc";
    let Some(calls) = calls_during(&mount, || assert_ok(&shell("sh", &mount, dd))) else {
        return;
    };
    let at = |is: &dyn Fn(&String) -> bool| {
        let found = calls.iter().position(is);
        found.unwrap_or_else(|| panic!("{}", calls.join("\n")))
    };
    let written = at(&|call| call.contains("pwrite64") && call.ends_with("= 512"));
    let flushed = at(&|call| call.contains("fdatasync") && call.ends_with("= 0"));
    // A header of 16 bytes, and 8 that say how much was written.
    let answered = at(&|call| call.contains("writev") && call.ends_with("= 24"));
    assert!(written < flushed, "{}", calls.join("\n"));
    assert!(flushed < answered, "{}", calls.join("\n"));
}
