//! A running machine: QEMU with its channels. It ends when this is dropped.
//!
//! Other files add methods: `power` its buttons, `guest` commands and files, `disks` hot-plug, `warm` saving.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use qapi::qmp::Event;

use super::folder::Folder;
use super::guest::agent::{Agent, LivenessCheck};
use super::guest::console::Console;
use super::guest::terminal::Terminal;
use super::health::Health;
use super::power_watch::PowerWatch;
use super::qemu::arguments::{MachineSpec, Sockets};
use super::qemu::process::{Channels, Qemu};
use super::qemu::qmp::{Qmp, QmpError};
use super::{Limit, VmError};
use crate::client::MountClient;

/// A running machine.
pub(super) struct Machine {
    qmp: Qmp,
    /// Where its disks are.
    pub(super) mount: MountClient,
    agent: Agent,
    terminal: Terminal,
    pub(super) health: Health,
}

impl Machine {
    /// Starts QEMU, with its disks in `mount`, and greets it; the guest stands still. What the console
    /// shows is news from where `console_log` stands. A rule that cuts the power of a disk ends it, as `watch` tells.
    pub(super) fn launch<'a>(
        spec: impl FnOnce(Sockets) -> MachineSpec<'a>,
        folder: &Folder,
        mount: &MountClient,
        console_log: Console,
        limit: &Limit,
        watch: &PowerWatch,
        deadline: Instant,
    ) -> Result<Self, VmError> {
        let (mut qemu, channels) = Qemu::start(spec, &folder.qemu_log(), mount)?;
        let armed = watch.arm(qemu.pid());
        let armed = armed.map_err(VmError::io("the process of QEMU"))?;
        let Channels {
            qmp,
            agent,
            console,
        } = channels;
        let terminal = Terminal::open(console, &folder.console());
        let terminal = terminal.map_err(VmError::io("the guest's console"))?;
        let qmp = Qmp::connect(qmp, deadline).map_err(|error| match error {
            QmpError::Gone => qemu.exit_error("while it started"),
            QmpError::Failed(error) => error,
        })?;
        Ok(Self {
            qmp,
            mount: mount.clone(),
            agent: Agent::new(agent),
            terminal,
            health: Health::new(qemu, armed, console_log, limit.clone()),
        })
    }

    /// Whether QEMU has ended as it does when its guest powers down.
    pub(super) fn has_powered_off(&mut self) -> bool {
        let status = self.health.exited();
        status.is_some_and(|status| status.success())
    }

    /// The guest's serial console.
    pub(super) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Gives QEMU a duplicate of `file`, to be used once as `fd:NAME`.
    pub(super) fn give(&mut self, name: &str, file: BorrowedFd<'_>) -> Result<(), VmError> {
        let given = self.qmp.give(name, file);
        given.map_err(|error| self.explain(error))
    }

    /// Executes a command of QEMU's.
    pub(super) fn execute<C: qapi::Command>(&mut self, command: &C) -> Result<C::Ok, VmError> {
        let done = self.qmp.execute(command);
        done.map_err(|error| self.explain(error))
    }

    /// QEMU's events that have come, waiting up to `timeout` for the first.
    pub(super) fn events(&mut self, timeout: Duration) -> Result<Vec<Event>, VmError> {
        let events = self.qmp.events(timeout);
        events.map_err(|error| self.explain(error))
    }

    fn explain(&mut self, error: QmpError) -> VmError {
        match error {
            QmpError::Gone => self.health.exit_error(),
            QmpError::Failed(error) => error,
        }
    }

    /// Calls the agent, for as long as the guest lives; when the call fails because the guest is
    /// over, says so instead.
    pub(super) fn agent<T>(
        &mut self,
        call: impl FnOnce(&mut Agent, LivenessCheck<'_>) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        let health = &mut self.health;
        let result = call(&mut self.agent, &mut || health.check());
        result.map_err(|error| match error {
            VmError::AgentGone => self.health.exit_error(),
            error => self.health.check().err().unwrap_or(error),
        })
    }
}
