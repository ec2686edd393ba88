//! Whether the process that closes a descriptor, or one that it has started, still has another one on
//! the same file.
//!
//! A shell opens `> file`, moves the descriptor to its place and closes the first: that close is
//! not the end of the redirection. Another one leaves it to the program that it starts. The kernel tells
//! us of each close while it waits for our answer, but of the last one only afterwards; to act on the
//! last close in time, we look for ourselves.

use fuser::INodeNo;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::{mounts, proc};

/// Whether `pid` or a process below it has, as far as can be seen, a descriptor on the file of our mount
/// with this number, by whichever path.
pub(super) fn may_be_open(pid: u32, inode: INodeNo) -> bool {
    match mounts::own_device() {
        Some(device) => may_have(pid, (device, inode.0)),
        None => true,
    }
}

type Identity = ((u32, u32), u64);

fn may_have(pid: u32, file: Identity) -> bool {
    if pid == 0 {
        return true; // A process that our /proc does not show.
    }
    let Ok(mut descriptors) = proc::descriptors(pid) else {
        return proc::owner(pid).is_some();
    };
    descriptors.any(|link| identity(&link) == Some(file))
        || proc::children(pid)
            .into_iter()
            .any(|child| may_have(child, file))
}

/// What a link in /proc leads to. No server of a file system is asked, ours among them.
fn identity(link: &std::path::Path) -> Option<Identity> {
    let found = statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok()?;
    Some(((found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Waits until it is closed: a child of another test has everything open until it is what it was
    /// started for.
    fn closed(file: Identity) {
        while may_have(std::process::id(), file) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_second_descriptor_is_seen_until_it_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let me = std::process::id();
        let second = file.reopen().unwrap();
        let identity = identity(file.path()).unwrap();
        assert!(may_have(me, identity));
        drop((file, second));
        closed(identity);
    }

    #[test]
    fn a_descriptor_that_a_child_has_inherited_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let identity = identity(file.path()).unwrap();
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(file.into_file())
            .spawn()
            .unwrap();
        assert!(may_have(std::process::id(), identity));
        drop(child.stdin.take());
        child.wait().unwrap();
        closed(identity);
    }
}
