//! The mounts of this machine, as the kernel lists them, and taking ours away.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::names::FS_TYPE;
use crate::proc;
use crate::sys::{self, Process};

/// A provium mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is.
    pub point: PathBuf,
    /// The process that serves it, as it said itself.
    pub server: Option<u32>,
}

impl Mount {
    /// The source that the server gives the kernel, so that others find it.
    pub fn source() -> String {
        format!("provium:{}", std::process::id())
    }

    /// Whether the server is gone. Never touches the mount, which might not answer.
    pub fn is_stale(&self) -> bool {
        self.server.is_some_and(|pid| !Process::is_running(pid))
    }

    /// The server, where it is suspended: whoever asks the mount would wait until it goes on.
    pub fn stopped_server(&self) -> Option<u32> {
        self.server.filter(|pid| proc::is_stopped(*pid))
    }
}

/// All provium mounts, oldest first.
pub fn list() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The provium mount at `point`, which must be an absolute path without links; the newest one
/// where several lie on top of each other.
pub fn find(point: &Path) -> io::Result<Option<Mount>> {
    let mut mounts = list()?.into_iter();
    Ok(mounts.rfind(|mount| mount.point == point))
}

/// Unmounts `point`, with the help of fusermount3 where this user may not do it alone.
///
/// `lazy` makes it disappear at once even while files in it are open; otherwise that is EBUSY.
pub fn unmount(point: &Path, lazy: bool) -> io::Result<()> {
    match sys::unmount(point, lazy) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => fusermount(point, lazy),
        result => result,
    }
}

fn fusermount(point: &Path, lazy: bool) -> io::Result<()> {
    let mut command = Command::new("fusermount3");
    command
        .arg("-u")
        .args(lazy.then_some("-z"))
        .arg("--")
        .arg(point);
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.to_ascii_lowercase().contains("busy") {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    Err(io::Error::other(text))
}

/// Reads the lines `ID PARENT DEV ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER`.
fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    let lines = mountinfo.split(|b| *b == b'\n');
    lines.filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let fields: Vec<_> = line.split(|b| *b == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    if *fields.get(dash + 1)? != FS_TYPE.as_bytes() {
        return None;
    }
    let source = std::str::from_utf8(fields.get(dash + 2)?).ok()?;
    Some(Mount {
        point: unescape(fields.get(4)?).into(),
        server: source
            .strip_prefix("provium:")
            .and_then(|pid| pid.parse().ok()),
    })
}

/// Undoes the kernel's `\040` for a space and its like.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match byte.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_mounts_are_told_from_others_by_their_type() {
        let text = b"24 1 0:22 / /proc rw - proc proc rw\n\
            90 24 0:50 / /tmp/a\\040b rw,nosuid shared:5 - fuse.provium provium:4711 rw\n";
        let expected = Mount {
            point: "/tmp/a b".into(),
            server: Some(4711),
        };
        assert_eq!(parse(text), [expected]);
    }

    #[test]
    fn a_server_that_ended_and_was_not_waited_for_is_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        Process::open(child.id())
            .unwrap()
            .wait(std::time::Duration::from_secs(10))
            .unwrap();
        let server = Some(child.id());
        let point = "/none".into();
        assert!(Mount { point, server }.is_stale());
        child.wait().unwrap();
    }

    #[test]
    fn a_mount_whose_server_is_gone_is_stale() {
        let mount = |server| Mount {
            point: "/none".into(),
            server,
        };
        assert!(!mount(Some(std::process::id())).is_stale());
        assert!(mount(Some(u32::MAX >> 2)).is_stale());
        assert!(!mount(None).is_stale(), "unknown is not stale");
    }
}
