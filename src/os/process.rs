//! Other processes: signals to them, and waiting for their end.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::os::poll;

/// Kills the process group that `leader` leads. The caller has not waited for the leader yet, so that the
/// kernel has not given its number to another process.
pub fn kill_group(leader: u32) {
    if let Some(leader) = Pid::from_raw(leader as i32) {
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

/// A handle on a process. It never refers to a later process of the same number.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// Opens the process with number `pid`; ESRCH if no process has it.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Whether the process with number `pid` runs. A process that has ended does not, even before its
    /// parent has waited for it.
    pub fn is_running(pid: u32) -> bool {
        match Self::open(pid) {
            Ok(process) => !process.wait(Duration::ZERO).unwrap_or(false),
            // Other errors do not mean that it has ended.
            Err(error) => error.raw_os_error() != Some(libc::ESRCH),
        }
    }

    /// Sends `signal`, one of `libc::SIG*`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal);
        let signal = signal.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(pidfd_send_signal(&self.0, signal)?)
    }

    /// Waits until the process has ended; false when `timeout` passed first.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        poll::wait_readable(&self.0, timeout)
    }
}
