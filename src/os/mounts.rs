//! The mounts of this machine, as the kernel lists them, and taking ours away.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, never};

use crate::os::folders;
use crate::os::proc;
use crate::os::server_lock::{self, Liveness, ServerLock, Watch};
use crate::os::sys;
use crate::protocol::names::FS_TYPE;

/// What a mount's source begins with; the key of its server's lock follows.
const SOURCE: &str = "provium:";

/// How long a mount is given that is asked whether its server is gone; one that is gone is known at once.
const ASKING: Duration = Duration::from_millis(500);

/// A provium mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The kernel's number of it, in this mount namespace.
    pub number: u64,
    /// That of the mount that it lies on.
    pub parent: u64,
    /// The kernel's number of its file system, as `0:50`: the same wherever it is mounted.
    pub device: String,
    /// Where it is.
    pub point: PathBuf,
    /// The folder of the file system that is to be seen there, `/` but for some bind mounts.
    pub root: PathBuf,
    /// The user who mounted it.
    pub owner: u32,
    /// The key of its server's lock.
    key: String,
}

impl Mount {
    /// The source that a server gives the kernel, so that others find its lock by `key`.
    pub fn source(key: &str) -> String {
        format!("{SOURCE}{key}")
    }

    /// The process that serves it, by its number in this PID namespace, where it has one.
    pub fn server(&self) -> Option<u32> {
        match self.liveness() {
            Liveness::Runs(pid) => pid,
            _ => None,
        }
    }

    /// Whether its server still runs, as far as its lock tells.
    pub fn liveness(&self) -> Liveness {
        server_lock::liveness(&self.key, self.owner)
    }

    /// Its server, to see it end; None where its lock cannot be looked at.
    pub fn watch(&self) -> Option<Watch> {
        Watch::on(&self.key, self.owner)
    }

    /// Whether the server is gone. Asks the mount, which might not answer, only where its server's lock
    /// cannot be looked at.
    pub fn is_stale(&self) -> bool {
        match self.liveness() {
            Liveness::Runs(_) => false,
            Liveness::Ended => true,
            Liveness::Unknown => is_disconnected(&self.point),
        }
    }

    /// Whether this process serves it.
    pub fn is_own(&self) -> bool {
        server_lock::own_key() == Some(&self.key)
    }

    /// Whether this user may take it away.
    pub fn is_ours(&self) -> bool {
        [0, self.owner].contains(&sys::uid())
    }

    /// The server, where it is suspended: whoever asks the mount would wait until it goes on.
    pub fn stopped_server(&self) -> Option<u32> {
        self.server().filter(|pid| proc::is_stopped(*pid))
    }

    /// Takes it away, and what its server, which is gone, has left.
    pub fn clean_up(&self) -> io::Result<()> {
        unmount(&self.point, true)?;
        server_lock::forget(&self.key, self.owner);
        Ok(())
    }
}

/// Whether the kernel says of the mount at `point` that its server is gone. A mount that lets us wait
/// is taken for alive, and so is one that does not let us in.
fn is_disconnected(point: &Path) -> bool {
    let (tx, answer) = bounded(1);
    let point = point.to_owned();
    let ask = move || drop(tx.send(point.metadata().err()));
    let asking = std::thread::Builder::new().spawn(ask);
    let error = asking.ok().and_then(|_| answer.recv_timeout(ASKING).ok());
    error.flatten().and_then(|error| error.raw_os_error()) == Some(libc::ENOTCONN)
}

/// Takes the lock of this process, which is about to serve a mount.
pub fn take_server_lock() -> io::Result<ServerLock> {
    let _ = remove_leftover_locks();
    ServerLock::take()
}

/// Removes the lock files of servers that were killed and whose mounts are gone.
pub fn remove_leftover_locks() -> io::Result<()> {
    let mounted: Vec<_> = list()?.into_iter().map(|mount| mount.key).collect();
    server_lock::remove_leftovers(&folders::runtime()?, &mounted);
    Ok(())
}

/// All provium mounts, oldest first.
pub fn list() -> io::Result<Vec<Mount>> {
    list_of("self")
}

/// Those that the process `pid` sees, or `self`.
pub fn list_of(pid: impl Display) -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read(format!("/proc/{pid}/mountinfo"))?))
}

/// The provium mount at `point`, which must be an absolute path without links; the newest one
/// where several lie on top of each other.
pub fn find(point: &Path) -> io::Result<Option<Mount>> {
    let mut mounts = list()?.into_iter();
    Ok(mounts.rfind(|mount| mount.point == point))
}

/// The device of the mount that this process serves, as `stat(2)` has it; None when it serves none.
pub fn own_device() -> Option<(u32, u32)> {
    static DEVICE: OnceLock<(u32, u32)> = OnceLock::new();
    server_lock::own_key()?;
    let known = DEVICE.get().copied();
    known.or_else(|| {
        let own = list().ok()?.into_iter().find(Mount::is_own)?;
        let (major, minor) = own.device.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(*DEVICE.get_or_init(|| device))
    })
}

/// Disconnects once the mount that this process serves is in no list of this mount namespace any more,
/// though it may live on: `umount -l` takes it out of sight while files in it are open. The server is
/// not told of that.
pub fn await_detached() -> Receiver<()> {
    let (tx, detached) = bounded(0);
    let watch = move || {
        match wait_until_detached() {
            Ok(()) => drop(tx),
            // Nobody will know, and nothing may be let go for that.
            Err(_) => std::mem::forget(tx),
        }
    };
    let thread = std::thread::Builder::new().name("mounts".into());
    match thread.spawn(watch) {
        Ok(_) => detached,
        Err(_) => never(),
    }
}

fn wait_until_detached() -> io::Result<()> {
    // Kept open: the disks may use up all descriptors.
    let mut table = File::open("/proc/self/mountinfo")?;
    loop {
        let mut text = Vec::new();
        table.rewind()?;
        table.read_to_end(&mut text)?;
        if !parse(&text).iter().any(Mount::is_own) {
            return Ok(());
        }
        sys::wait_changed(&table)?;
    }
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
    let text = |at: usize| std::str::from_utf8(fields.get(at)?).ok();
    let mut options = text(dash + 3)?.split(',');
    let owner = options.find_map(|option| option.strip_prefix("user_id="));
    Some(Mount {
        number: text(0)?.parse().ok()?,
        parent: text(1)?.parse().ok()?,
        device: text(2)?.to_owned(),
        root: unescape(fields.get(3)?).into(),
        point: unescape(fields.get(4)?).into(),
        owner: owner?.parse().ok()?,
        key: text(dash + 2)?.strip_prefix(SOURCE)?.to_owned(),
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
            90 24 0:50 / /tmp/a\\040b rw,nosuid shared:5 - fuse.provium provium:47-1a rw,user_id=7,x\n";
        let expected = Mount {
            number: 90,
            parent: 24,
            device: "0:50".into(),
            point: "/tmp/a b".into(),
            root: "/".into(),
            owner: 7,
            key: "47-1a".into(),
        };
        assert_eq!(parse(text), [expected]);
    }

    #[test]
    fn a_place_that_answers_or_is_not_there_is_not_disconnected() {
        assert!(!is_disconnected("/".as_ref()));
        assert!(!is_disconnected("/none".as_ref()));
    }
}
