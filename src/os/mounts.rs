//! The kernel's table of mounts, and how to unmount those of provium.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::bounded;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::os::folders;
use crate::os::server_lock::{self, Liveness, Watch};
use crate::os::{poll, proc, sys};
use crate::protocol::names::FS_TYPE;

/// The start of a mount's source. The key of its server's lock follows.
const SOURCE: &str = "provium:";

/// How long to wait for a mount's answer to the question whether its server is gone. The kernel itself
/// answers at once for a server that is gone.
const ASKING: Duration = Duration::from_millis(500);

/// A provium mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The kernel's number of the mount, in this mount namespace.
    pub number: u64,
    /// The number of the mount that it lies on.
    pub parent: u64,
    /// The kernel's number of its file system, such as `0:50`: the same wherever that is mounted.
    pub device: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The folder of the file system that is visible there: `/`, except for some bind mounts.
    pub root: PathBuf,
    /// The number of the user who mounted it.
    pub owner: u32,
    /// The key of its server's lock.
    key: String,
}

impl Mount {
    /// The source that a server tells the kernel. Others find the server's lock by the `key` in it.
    pub fn source(key: &str) -> String {
        format!("{SOURCE}{key}")
    }

    /// The process that serves it, by its number in this PID namespace, if it has one here.
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

    /// Watches its server for its end; None if the server's lock cannot be read.
    pub fn watch(&self) -> Option<Watch> {
        Watch::on(&self.key, self.owner)
    }

    /// Whether the server is gone. Waits for one that was killed and has not ended yet, for a while. Asks the mount
    /// itself, which may not answer, only if the server's lock cannot be read.
    pub fn is_stale(&self) -> bool {
        proc::await_end(self.server());
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

    /// Whether this user may unmount it.
    pub fn is_ours(&self) -> bool {
        [0, self.owner].contains(&sys::uid())
    }

    /// The server, if it is suspended: clients of the mount wait until it continues.
    pub fn stopped_server(&self) -> Option<u32> {
        self.server().filter(|pid| proc::is_stopped(*pid))
    }

    /// Unmounts it lazily, and removes the lock file that its dead server has left.
    pub fn clean_up(&self) -> io::Result<()> {
        unmount(&self.point, true)?;
        server_lock::forget(&self.key, self.owner);
        Ok(())
    }
}

/// Whether the kernel reports that the server of the mount at `point` is gone. A mount that does not answer
/// in time counts as alive, and so does one that denies us access.
fn is_disconnected(point: &Path) -> bool {
    let (tx, rx) = bounded(1);
    let point = point.to_owned();
    let ask = move || drop(tx.send(point.metadata().err()));
    let asking = std::thread::Builder::new().spawn(ask);
    let error = asking.ok().and_then(|_| rx.recv_timeout(ASKING).ok());
    error.flatten().and_then(|error| error.raw_os_error()) == Some(libc::ENOTCONN)
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

/// All provium mounts that the process `pid` sees; `self` is this process.
pub fn list_of(pid: impl Display) -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read(format!("/proc/{pid}/mountinfo"))?))
}

/// The provium mount at `point`, an absolute path without links. Of several on top of each other, the
/// newest.
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

/// The table of this mount namespace, kept open: a server's disks may use up all other descriptors.
#[derive(Debug)]
pub struct Table(File);

impl Table {
    /// Opens the table.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/mountinfo")?))
    }

    /// All provium mounts that it lists now, oldest first.
    pub fn list(&mut self) -> io::Result<Vec<Mount>> {
        let mut text = Vec::new();
        self.0.rewind()?;
        self.0.read_to_end(&mut text)?;
        Ok(parse(&text))
    }

    /// Waits until the table differs from what it was when it was opened or last waited for.
    pub fn wait_changed(&self) -> io::Result<()> {
        poll::wait_changed(&self.0)
    }
}

/// Unmounts `point`, through fusermount3 if this user may not unmount it directly.
///
/// A `lazy` unmount detaches it at once even while files in it are open; otherwise those are EBUSY.
pub fn unmount(point: &Path, lazy: bool) -> io::Result<()> {
    let mut flags = UnmountFlags::NOFOLLOW;
    flags.set(UnmountFlags::DETACH, lazy);
    match rustix::mount::unmount(point, flags) {
        Err(Errno::PERM) => fusermount(point, lazy),
        result => Ok(result?),
    }
}

/// Ends the connection between the file system at `point` and its server: all clients that wait for it get
/// an error. Needs root.
pub fn abort(point: &Path) -> io::Result<()> {
    let flags = UnmountFlags::FORCE | UnmountFlags::NOFOLLOW;
    Ok(rustix::mount::unmount(point, flags)?)
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
    // It gives its reason in its text alone.
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
    fn mounts_of_other_types_are_left_out() {
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
    fn place_that_answers_or_is_missing_is_not_disconnected() {
        assert!(!is_disconnected("/".as_ref()));
        assert!(!is_disconnected("/none".as_ref()));
    }
}
