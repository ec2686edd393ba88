//! Signals to `provium run`, which its command gets.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

use crate::os::process::Process;
use crate::os::sys;

const PASSED_ON: [i32; 6] = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// From its start on no signal ends this process: the command gets it, and decides.
pub(super) struct Forwarding(SignalsInfo<WithOrigin>);

impl Forwarding {
    /// Begins to collect signals. What this process was told to ignore (`nohup`) stays ignored, for both.
    pub(super) fn start() -> io::Result<Self> {
        let signals = PASSED_ON.iter().filter(|signal| !sys::is_ignored(**signal));
        Ok(Self(SignalsInfo::new(signals)?))
    }

    /// Passes signals on to the child `pid`, those too that have come already.
    pub(super) fn to(mut self, pid: u32) -> io::Result<()> {
        let child = Process::open(pid)?;
        let pass_on = move || {
            for origin in self.0.forever() {
                if !came_from_terminal(&origin) {
                    // One that has ended needs no signal.
                    let _ = child.signal(origin.signal);
                }
            }
        };
        std::thread::Builder::new().spawn(pass_on).map(drop)
    }
}

/// Whether the kernel has sent it, as for Ctrl-C. It then sends it to the whole process group, so that the command
/// has it already.
fn came_from_terminal(origin: &Origin) -> bool {
    origin.cause == Cause::Kernel
}
