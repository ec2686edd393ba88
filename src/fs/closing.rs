//! Whether the process that closes a descriptor still has another one on the same file.
//!
//! A shell opens `> file`, moves the descriptor to its place and closes the first: that close is
//! not the end of the redirection. The kernel tells us of each close while it waits for our answer,
//! but of the last one only afterwards; to act on the last close in time, we look for ourselves.

use std::path::Path;

use crate::proc;

/// Whether `pid` has, as far as can be seen, a descriptor on `path`.
pub(super) fn may_be_open(pid: u32, path: &Path) -> bool {
    if pid == 0 {
        return true; // A process that our /proc does not show.
    }
    match proc::open_files(pid) {
        Ok(mut files) => files.any(|file| file == path),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_descriptor_is_seen_until_it_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let me = std::process::id();
        let second = file.reopen().unwrap();
        let path = file.path().to_owned();
        assert!(may_be_open(me, &path));
        drop((file, second));
        assert!(!may_be_open(me, &path));
    }
}
