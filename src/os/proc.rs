//! Facts about other processes, from /proc. This reads only text and links there. It opens no file that a
//! process has open, so that no mount has to answer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::process::Process;

/// The numbers of all processes.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The device and the inode of a file: the same by every path.
pub type Identity = ((u32, u32), u64);

/// The identity of the file at `path`. The server of its file system has to answer for the path only.
pub fn identity(path: &Path) -> Option<Identity> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok()?;
    Some(((found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
}

/// The path by which a process has opened `file`; None when it does not have it open.
pub fn opened(pid: u32, file: Identity) -> Option<PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let mut links = descriptors.flatten().map(|entry| entry.path());
    // The kernel follows such a link straight to the open file: no server has to answer.
    let link = links.find(|link| identity(link) == Some(file))?;
    std::fs::read_link(link).ok()
}

/// The devices of the files that a process has open.
pub fn devices(pid: u32) -> Vec<(u32, u32)> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = descriptors.into_iter().flatten().flatten();
    let files = links.filter_map(|link| identity(&link.path()));
    files.map(|(device, _)| device).collect()
}

/// Whether the process `pid` is suspended, by SIGSTOP or a debugger.
pub fn is_stopped(pid: u32) -> bool {
    matches!(state(pid), Some('T' | 't'))
}

/// Whether the process `pid` is about to end, or waits for its parent: a signal waits for it, as SIGKILL does, or its
/// main thread ends. Until the last thread has ended, what the process has open stays open. False of a process that is
/// gone, and where it is unknown.
pub fn is_ending(pid: u32) -> bool {
    let ends = || flags(pid) & ENDS != 0;
    is_of_our_namespace() && (ends() || is_signalled(pid) == Some(true))
}

/// How long a killed process may take to end, on a machine with much to do.
const DEATH: Duration = Duration::from_secs(5);

/// Waits until those of these processes have ended that are about to, five seconds at most.
pub fn await_end(pids: impl IntoIterator<Item = u32>) {
    let deadline = Instant::now() + DEATH;
    for pid in pids.into_iter().filter(|pid| is_ending(*pid)) {
        // One that cannot be opened is gone.
        let process = Process::open(pid);
        let _ =
            process.and_then(|ends| ends.wait(deadline.saturating_duration_since(Instant::now())));
    }
}

/// The kernel's PF_EXITING.
const ENDS: u32 = 4;

/// The state of its main thread; None without such a process.
fn state(pid: u32) -> Option<char> {
    stat(pid, 0)?.chars().next()
}

/// The flags of its main thread; none without such a process.
fn flags(pid: u32) -> u32 {
    let flags = stat(pid, 6).and_then(|flags| flags.parse().ok());
    flags.unwrap_or(0)
}

/// A field of what the kernel says of its main thread, counted from the state on.
fn stat(pid: u32, field: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    fields.nth(field).map(str::to_owned)
}

/// Whether a signal waits to be delivered to the thread `pid`; None if that is unknown, for example for a
/// thread outside our PID namespace.
pub fn is_signalled(pid: u32) -> Option<bool> {
    if pid == 0 || !is_of_our_namespace() {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let set = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        bits.unwrap_or(0)
    };
    Some((set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") != 0)
}

/// Whether /proc shows our PID namespace: after `unshare --pid` it may show another one.
fn is_of_our_namespace() -> bool {
    let me = std::process::id().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == me.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_listed_with_the_files_that_it_has_open() {
        let me = std::process::id();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().canonicalize().unwrap();
        assert!(processes().any(|pid| pid == me));
        let identity = identity(&path).unwrap();
        assert_eq!(opened(me, identity), Some(path));
        let closed = file.into_temp_path();
        assert_eq!(opened(me, identity), None);
        drop(closed);
    }

    #[test]
    fn stopped_process_differs_from_a_running_one() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = crate::os::process::Process::open(child.id()).unwrap();
        assert!(!is_stopped(child.id()));
        process.signal(libc::SIGSTOP).unwrap();
        while !is_stopped(child.id()) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_stopped(child.id()));
    }

    #[test]
    fn killed_process_is_ending_until_it_is_waited_for() {
        let mut sleeps = std::process::Command::new("sleep");
        let mut child = sleeps.arg("60").spawn().unwrap();
        assert!(!is_ending(child.id()));
        child.kill().unwrap();
        assert!(is_ending(child.id()));
        child.wait().unwrap();
        assert!(!is_ending(child.id()), "it is gone");
    }

    #[test]
    fn thread_without_a_pending_signal_differs_from_an_invisible_one() {
        assert_eq!(is_signalled(std::process::id()), Some(false));
        assert_eq!(is_signalled(u32::MAX), None);
        assert_eq!(is_signalled(0), None, "it is in another namespace");
    }
}
