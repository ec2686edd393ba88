//! Waiting for a descriptor.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits until `fd` can be read (data or end of file); false when `timeout` passed first.
pub fn wait_readable(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll_readable(&fd, left) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Whether `fd` can be read, or is at its end. Asks the kernel once; false too if that fails.
pub fn is_readable(fd: impl AsFd) -> bool {
    poll_readable(&fd, Duration::ZERO).unwrap_or(false)
}

fn poll_readable(fd: &impl AsFd, timeout: Duration) -> Result<bool, Errno> {
    let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
    let ready = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout))?;
    Ok(ready > 0)
}

/// Waits until the kernel's table behind `table`, a file of /proc such as `mountinfo`, differs from what it
/// was when the file was opened or last waited for.
pub fn wait_changed(table: &File) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(table, PollFlags::PRI)], None) {
            Err(Errno::INTR) => {}
            result => return Ok(result.map(drop)?),
        }
    }
}
