//! Every error number, from rules and from the host: a client gets it or the nearest one, and later requests of
//! all disks still arrive.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use provium::os::sys;

use crate::docs::page_says;
use crate::harness::*;

const FAULTS: &str = "docs/faults.md";

const OPS: [&str; 5] = ["read", "write", "flush", "discard", "zero"];

/// Two disks, each open, and how many requests of each kind came to them.
struct Disks {
    mount: Mount,
    files: [File; 2],
    arrived: [[u64; OPS.len()]; 2],
}

/// Makes one request and returns its result. An interrupted request is not tried again.
fn request(file: &File, op: &str) -> io::Result<()> {
    const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
    match op {
        "read" => file.read_at(&mut [0; 512], 0).map(drop),
        "write" => file.write_at(&[1; 512], 0).map(drop),
        "flush" => Ok(rustix::fs::fdatasync(file)?),
        "discard" => sys::fallocate(file, libc::FALLOC_FL_PUNCH_HOLE | KEEP, 0, 512),
        _ => sys::fallocate(file, libc::FALLOC_FL_ZERO_RANGE | KEEP, 0, 512),
    }
}

impl Disks {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let disk = |id: &str| {
            let image = new_image(&folder.path().join(format!("{id}.img")), MIB);
            format!("{id}={}", image.display())
        };
        let (vda, vdb) = (disk("vda"), disk("vdb"));
        let mount = Mount::serve(folder, &["--disk", &vda, "--disk", &vdb]);
        let files = ["vda", "vdb"].map(|id| {
            let mut options = File::options();
            options.read(true).write(true).open(mount.path(id)).unwrap()
        });
        Self {
            mount,
            files,
            arrived: Default::default(),
        }
    }

    /// A request of the first disk, which fails; its errno.
    fn fail(&mut self, op: usize) -> i32 {
        self.arrived[0][op] += 1;
        let failed = request(&self.files[0], OPS[op]);
        errno(failed)
    }

    /// All requests of both disks are done and counted.
    fn check(&mut self, after: &str) {
        for (disk, id) in ["vda", "vdb"].iter().enumerate() {
            for (op, name) in OPS.iter().enumerate() {
                request(&self.files[disk], name).unwrap();
                self.arrived[disk][op] += 1;
            }
            let stats = self.mount.read(&format!("{id}/stats"));
            let arrived = OPS.map(|op| stat_in(&stats, &format!("{op}_requests")));
            assert_eq!(arrived, self.arrived[disk], "{id} after {after}");
        }
    }
}

fn rules(rule: impl Fn(&str) -> String) -> String {
    OPS.map(|op| rule(op) + " times=1 tag=e\n").concat()
}

/// Opens the disk as `: > vda` does: its zeroes fail.
fn truncating_open(disks: &mut Disks) -> i32 {
    use rustix::fs::{Mode, OFlags};
    disks.arrived[0][4] += 1;
    let flags = OFlags::WRONLY | OFlags::TRUNC;
    let opened = rustix::fs::open(disks.mount.vda(), flags, Mode::empty());
    opened.unwrap_err().raw_os_error()
}

#[test]
fn storage_error_is_passed_on_every_time() {
    let below = Disks::new();
    let disk = format!("vda={}", below.mount.vda().display());
    let above = Mount::serve(TempDir::new().unwrap(), &["--disk", &disk]);
    let file = File::options().read(true).write(true).open(above.vda());
    let file = file.unwrap();
    for number in [libc::EINTR, libc::EAGAIN, libc::ENOSPC, 511] {
        std::fs::write(
            below.mount.ctl("vda/faults"),
            format!("error errno={number}\n"),
        )
        .unwrap();
        for op in OPS {
            assert_eq!(errno(request(&file, op)), number, "{op}");
        }
    }
    below.mount.clear();
    for op in OPS {
        request(&file, op).unwrap();
    }
}

#[test]
fn armed_errno_reaches_its_client_and_loses_no_request() {
    page_says(FAULTS, "`errno=` is a name or a number from 1 to 511");
    page_says(FAULTS, "| the request fails | `errno=` (EIO), ");
    page_says(FAULTS, "| ENOSYS | rejected when the rule is armed");
    page_says(FAULTS, "| 512 and above | rejected when the rule is armed");
    page_says(
        FAULTS,
        "| ESTALE and ECHILD of an `open` or a `stat` | EIO, because the kernel would try again |",
    );
    let mut disks = Disks::new();
    for number in 1..=600 {
        let error = rules(|op| format!("error op={op} errno={number}"));
        let hang = rules(|op| format!("hang op={op} max=0us then={number}"));
        for text in [error, hang] {
            let armed = disks.mount.append("vda/faults", &text);
            if number > 511 || number == libc::ENOSYS {
                assert_eq!(errno(armed), libc::EINVAL, "{text}");
                assert_eq!(disks.mount.read("vda/faults"), "", "{text}");
                continue;
            }
            armed.unwrap();
            for op in 0..OPS.len() {
                assert_eq!(disks.fail(op), number, "{text}");
            }
            disks.mount.append("vda/faults", "!e").unwrap();
        }
        if number <= 511 && number != libc::ENOSYS {
            disks
                .mount
                .arm(&format!("error op=zero errno={number} times=1 tag=e"));
            // The kernel would walk the path anew, and the second try would succeed.
            let expected = match number {
                libc::ESTALE | libc::ECHILD => libc::EIO,
                number => number,
            };
            assert_eq!(truncating_open(&mut disks), expected);
            disks.mount.append("vda/faults", "!e").unwrap();
        }
        disks.check(&number.to_string());
    }
}

#[test]
fn release_takes_an_errno_that_the_kernel_carries_or_releases_nothing() {
    let disks = Disks::new();
    disks.mount.arm("hang op=read");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| errno(request(&disks.files[0], "read")));
        eventually("it is held", || {
            !disks.mount.read("vda/inflight").is_empty()
        });
        for bad in ["0", "38", "ENOSYS", "512", "600", "4095", "EIX"] {
            let released = disks.mount.append("vda/release", &format!("all {bad}"));
            assert_eq!(errno(released), libc::EINVAL, "{bad}");
            assert!(
                disks
                    .mount
                    .read("error")
                    .contains(&format!(" vda/release: `{bad}` "))
            );
        }
        assert!(!disks.mount.read("vda/inflight").is_empty());
        disks.mount.append("vda/release", "all 511").unwrap();
        assert_eq!(read.join().unwrap(), 511);
    });
}

/// Has the host answer ENOSYS to the server's calls until it is dropped.
struct HostWithout(std::process::Child);

impl HostWithout {
    /// None if this process may not do that.
    fn calls(of: u32) -> Option<Self> {
        let calls = "pread64,pwrite64,fsync,fdatasync,fallocate,lseek";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args([
            "-e",
            &format!("inject={calls}:error=ENOSYS"),
            "-p",
            &of.to_string(),
        ]);
        let mut strace = strace.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(strace.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        std::thread::spawn(move || stderr.lines().for_each(drop));
        let strace = Self(strace);
        match said.contains("attached") {
            true => Some(strace),
            false => {
                eprintln!("skipped: {said}");
                None
            }
        }
    }
}

impl Drop for HostWithout {
    fn drop(&mut self) {
        send(self.0.id(), libc::SIGTERM);
        self.0.wait().unwrap();
    }
}

#[test]
fn host_without_a_system_call_loses_no_request() {
    if !has("strace") {
        return;
    }
    page_says(
        FAULTS,
        "| ENOSYS, and 524, which some file systems return | EOPNOTSUPP |",
    );
    let mut disks = Disks::new();
    disks.check("the start");
    let Some(host) = HostWithout::calls(disks.mount.server()) else {
        return;
    };
    for (op, name) in OPS.iter().enumerate() {
        assert_eq!(disks.fail(op), libc::EOPNOTSUPP, "{name}");
    }
    let sought = sys::seek_data(&disks.files[0], 0);
    assert_eq!(errno(sought), libc::EOPNOTSUPP);
    drop(host);
    disks.check("the host had none of these calls");
    let sought = sys::seek_data(&disks.files[0], MIB / 2);
    assert_eq!(errno(sought), libc::ENXIO, "the host is asked again");
}
