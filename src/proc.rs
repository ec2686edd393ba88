//! What /proc tells of other processes. Only text and links are read: no file is opened or touched
//! that a process has open, and so no mount is asked for anything.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The numbers of all processes.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The user that a process belongs to; None when there is no such process.
pub fn owner(pid: u32) -> Option<u32> {
    let folder = std::fs::metadata(format!("/proc/{pid}")).ok()?;
    Some(folder.uid())
}

/// What the descriptors of a process refer to; NotFound when there is no such process.
pub fn open_files(pid: u32) -> io::Result<impl Iterator<Item = PathBuf>> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(descriptors.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()))
}

/// Whether the process `pid` is suspended, by SIGSTOP or a debugger.
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may itself have anything in it.
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    state.starts_with(['T', 't'])
}

/// Whether a signal waits to be delivered to the thread `pid`; None when that cannot be seen, as of a
/// thread outside of our PID namespace.
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

/// Whether /proc counts processes as we do: after `unshare --pid` it may be that of another namespace.
fn is_of_our_namespace() -> bool {
    let me = std::process::id().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == me.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_listed_with_what_it_has_open() {
        let me = std::process::id();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().canonicalize().unwrap();
        assert!(processes().any(|pid| pid == me));
        assert_eq!(owner(me), Some(crate::sys::uid()));
        assert!(open_files(me).unwrap().any(|open| open == path));
        let closed = file.into_temp_path();
        assert!(!open_files(me).unwrap().any(|open| open == path));
        drop(closed);
    }

    #[test]
    fn a_stopped_process_is_told_from_one_that_runs() {
        let mut child = std::process::Command::new("sleep")
            .arg("9")
            .spawn()
            .unwrap();
        let process = crate::sys::Process::open(child.id()).unwrap();
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
    fn a_thread_without_a_pending_signal_is_told_from_one_that_cannot_be_seen() {
        assert_eq!(is_signalled(std::process::id()), Some(false));
        assert_eq!(is_signalled(u32::MAX), None);
        assert_eq!(is_signalled(0), None, "it is in another namespace");
    }
}
