//! Guests that QEMU has paused because a request of a disk has failed: disks with `rerror` or `werror` other than
//! `report`. QEMU keeps the request, and tries it again when the guest goes on.

use std::time::{Duration, Instant};

use qapi::qmp::{self, RunState};

use super::machine::Machine;
use super::qemu::stopped::Stopped;
use super::state::State;
use super::stopped_request::IoError;
use super::{Vm, VmError};
use crate::protocol::Errno;

/// Between two looks at a guest from which nothing comes by itself.
const TICK: Duration = Duration::from_millis(20);

impl From<&Stopped> for IoError {
    /// The disk is the block node.
    fn from(stopped: &Stopped) -> Self {
        Self {
            disk: stopped.node.clone(),
            op: stopped.op,
            error: errno_of(&stopped.reason),
        }
    }
}

impl Vm {
    /// Waits until QEMU pauses the guest because a request has failed. The guest is paused then: `resume` has QEMU try
    /// the request again.
    pub fn wait_io_error(&mut self, patience: Duration) -> Result<IoError, VmError> {
        self.with_machine(|machine| machine.wait_io_error(patience))?;
        self.state = State::Paused;
        let stopped = self.machine.as_mut().and_then(|it| it.stopped.pop_front());
        stopped.map_or(Err(VmError::NoIoError(patience)), |stopped| {
            Ok(self.io_error(&stopped))
        })
    }

    fn io_error(&self, stopped: &Stopped) -> IoError {
        self.named(stopped.into())
    }

    /// The same with the name of the disk in place of that of its block node.
    pub(super) fn named(&self, error: IoError) -> IoError {
        let disk = self.disks.with_node(&error.disk);
        IoError {
            disk: disk.unwrap_or(error.disk),
            ..error
        }
    }

    /// The error of a call that waited for the guest; where QEMU has paused that, the error says so.
    pub(super) fn explained(&mut self, error: VmError) -> VmError {
        let machine = match &error {
            VmError::NoAnswer(_)
            | VmError::NotShown(_)
            | VmError::TimeIsUpInSilence(_)
            | VmError::Deadline { .. } => self.machine.as_mut(),
            _ => None,
        };
        let is_stopped = machine.is_some_and(|machine| {
            machine.is_stopped_by_error().unwrap_or(false) && machine.events(TICK).is_ok()
        });
        let machine = self.machine.as_ref().filter(|_| is_stopped);
        match machine.and_then(|machine| machine.stopped.front()) {
            Some(stopped) => VmError::PausedByError {
                error: self.io_error(stopped).to_string(),
                cause: Box::new(error),
            },
            None => error,
        }
    }

    /// Notes that the guest is paused, if QEMU has paused it.
    pub(super) fn note_io_error(&mut self) -> Result<(), VmError> {
        if self.state == State::Booted
            && let Some(machine) = self.machine.as_mut()
            && machine.is_stopped_by_error()?
        {
            self.state = State::Paused;
        }
        Ok(())
    }
}

impl Machine {
    /// Waits until a request has failed for which QEMU has paused the guest.
    fn wait_io_error(&mut self, patience: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + patience;
        loop {
            self.events(TICK)?;
            if !self.stopped.is_empty() {
                return Ok(());
            }
            self.health.check()?;
            if Instant::now() >= deadline {
                return Err(VmError::NoIoError(patience));
            }
        }
    }

    /// The request for which QEMU has paused the guest. Its disk is the block node.
    pub(super) fn paused_by_error(&mut self) -> Option<IoError> {
        let is_paused = self.is_paused_by_error() && self.events(Duration::ZERO).is_ok();
        let stopped = self.stopped.front().filter(|_| is_paused)?;
        Some(stopped.into())
    }

    fn is_stopped_by_error(&mut self) -> Result<bool, VmError> {
        let status = self.execute(&qmp::query_status {})?.status;
        Ok(status == RunState::io_error)
    }
}

/// The name of the error with this text, as `strerror(3)` has it.
fn errno_of(reason: &str) -> String {
    let known = (1..=libc::EHWPOISON).find(|number| {
        let text = std::io::Error::from_raw_os_error(*number).to_string();
        text.strip_suffix(&format!(" (os error {number})")) == Some(reason)
    });
    known.map_or_else(|| reason.to_owned(), |number| Errno(number).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_has_its_name_if_it_is_known() {
        assert_eq!(errno_of("Input/output error"), "EIO");
        assert_eq!(errno_of("No space left on device"), "ENOSPC");
        assert_eq!(errno_of("whatever"), "whatever");
    }
}
