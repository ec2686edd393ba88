//! Whether to wait for a guest any longer: its QEMU runs, its kernel has not panicked, its test has time left.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::guest::console::Console;
use super::guest::terminal::Terminal;
use super::power_watch::Armed;
use super::qemu::process::Qemu;
use super::{Limit, VmError};

/// How long a QEMU that has closed its channels may take to end.
const GONE: Duration = Duration::from_secs(5);
/// How long the last output of one that has ended may take to be in the console's log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the life of a guest depends on.
pub(super) struct Health {
    qemu: Qemu,
    power: Armed,
    terminal: Terminal,
    pub(super) console: Console,
    pub(super) limit: Limit,
}

impl Health {
    pub(super) fn new(
        qemu: Qemu,
        power: Armed,
        terminal: Terminal,
        console: Console,
        limit: Limit,
    ) -> Self {
        Self {
            qemu,
            power,
            terminal,
            console,
            limit,
        }
    }

    /// Fails when the power was cut, QEMU is gone, the kernel has panicked, or the test's time is up.
    pub(super) fn check(&mut self) -> Result<(), VmError> {
        if self.qemu.exited().is_some() || self.power.cut().is_some() {
            return Err(self.exit_error());
        }
        if let Some(line) = self.console.new_panic() {
            return Err(VmError::Panicked {
                line,
                console: self.console.end(),
            });
        }
        self.limit.check()
    }

    /// The same, and fails at the deadline. `what` then says what has not happened within `patience`.
    pub(super) fn check_until(
        &mut self,
        what: &str,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), VmError> {
        self.check()?;
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(VmError::Deadline {
            what: what.to_owned(),
            after: patience,
            console: self.console.end(),
        })
    }

    /// Sleeps, but no longer than until the test's time is up.
    pub(super) fn pause(&self, duration: Duration) {
        std::thread::sleep(self.limit.cut(duration));
    }

    /// Waits for QEMU's end.
    pub(super) fn wait_for_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.qemu.wait(limit)
    }

    /// The error that says how QEMU ended: it succeeds when its guest powers itself off.
    pub(super) fn exit_error(&mut self) -> VmError {
        if let Some(cut) = self.power.cut() {
            return cut.into();
        }
        let status = self.qemu.wait(GONE);
        self.terminal.wait_for_end(LAST_WORDS);
        if status.is_some_and(|status| status.success()) {
            let console = self.console.end();
            return VmError::PoweredOff { console };
        }
        self.qemu.exit_error("while the guest ran")
    }
}
