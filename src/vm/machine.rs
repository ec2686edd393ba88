//! A running machine: QEMU with its channels. It ends when this is dropped.
//!
//! Other files add methods: `power` its buttons, `guest` commands and files, `disks` hot-plug, `warm` saving.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use qapi::qmp::Event;

use super::folder::Folder;
use super::guest::agent::{Agent, LivenessCheck};
use super::guest::console::{Console, Expecting};
use super::guest::terminal::Terminal;
use super::health::Health;
use super::power_watch::PowerWatch;
use super::qemu::arguments::MachineSpec;
use super::qemu::board::Bus;
use super::qemu::process::{Channels, Qemu};
use super::qemu::qmp::{Qmp, QmpError};
use super::qemu::qtest::Qtest;
use super::qemu::stopped::{Stopped, is_paused_by_error};
use super::{Limit, VmError};
use crate::client::MountClient;
use crate::config::Accel;

/// An agent that is silent for longer is part of the reason why a test takes too long.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the last output of a guest that stands still may take to be in the console's log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running machine.
pub(super) struct Machine {
    qmp: Qmp,
    pub(super) qtest: Qtest,
    /// Sets of files that QEMU needs no more. It closes them only while the guest runs.
    pub(super) unused: Vec<i64>,
    /// QEMU keeps translated code, and can be told through `qtest` what has changed. The memory of a PC begins at 0.
    pub(super) keeps_code: bool,
    /// The guest's memory, where it lies in a file of ours.
    pub(super) memory: Option<File>,
    /// Where its disks are.
    pub(super) mount: MountClient,
    /// The failed requests for which QEMU has paused the guest since it went on last.
    pub(super) stopped: VecDeque<Stopped>,
    /// None where the guest has no agent.
    agent: Option<Agent>,
    /// The profile that says so.
    profile: String,
    bus: Bus,
    pub(super) seen: Seen,
    terminal: Terminal,
    pub(super) health: Health,
}

/// What a guest has done since it was booted or reset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// It has opened its end of the agent's channel.
    pub(super) agent: bool,
    /// How often it has reset itself.
    pub(super) resets: usize,
}

impl Machine {
    /// Starts QEMU, with its disks in `mount`, and greets it; the guest stands still. What the console
    /// shows is news from where `console_log` stands. A rule that cuts the power of a disk ends it, as `watch` tells.
    pub(super) fn launch(
        spec: &MachineSpec<'_>,
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
            qtest,
        } = channels;
        let terminal = Terminal::open(console, &folder.console());
        let terminal = terminal.map_err(VmError::io("the guest's console"))?;
        let qmp = Qmp::connect(qmp, deadline).map_err(|error| match error {
            QmpError::Gone => qemu.exit_error("while it started"),
            QmpError::Failed(error) => error,
        })?;
        Ok(Self {
            qmp,
            qtest: Qtest::new(qtest),
            unused: Vec::new(),
            keeps_code: spec.accel != Accel::Kvm && spec.target.is_pc(),
            memory: None,
            mount: mount.clone(),
            stopped: VecDeque::new(),
            agent: spec.without_agent.is_none().then(|| Agent::new(agent)),
            profile: spec.without_agent.unwrap_or_default().to_owned(),
            bus: spec.board.bus,
            seen: Seen::default(),
            health: Health::new(qemu, armed, terminal.clone(), console_log, limit.clone()),
            terminal,
        })
    }

    /// The same machine, whose guest's memory is this file.
    pub(super) fn with_memory(self, memory: File) -> Self {
        let memory = Some(memory);
        Self { memory, ..self }
    }

    /// Ends it, and waits until all that its guest has printed is in the log.
    pub(super) fn end(self) {
        let terminal = self.terminal.clone();
        drop(self);
        terminal.wait_for_end(LAST_WORDS);
    }

    /// Waits until what a guest has printed that stands still is in the console's log.
    pub(super) fn settle_console(&self) {
        self.terminal.settle(LAST_WORDS);
    }

    /// What can be expected of the console of a machine that stands still.
    pub(super) fn expecting(&self) -> Expecting {
        self.settle_console();
        self.health.console.expecting()
    }

    /// The same can be expected as then, and what is printed from now on.
    pub(super) fn expect_again(&mut self, then: &Expecting) {
        self.settle_console();
        self.health.console.expect_again(then);
    }

    /// Ends it; what its guest has printed can still be expected.
    pub(super) fn into_console(self) -> Console {
        self.health.console
    }

    /// The version of QEMU.
    pub(super) fn version(&self) -> String {
        self.qmp.version().to_owned()
    }

    /// The guest's serial console.
    pub(super) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Whether its guest has an agent. Without one, nobody tells what the guest has done.
    pub(super) fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// What its devices are connected to.
    pub(super) fn bus(&self) -> Bus {
        self.bus
    }

    /// Executes a command of QEMU's that takes a duplicate of `file`.
    pub(super) fn give<C: qapi::Command>(
        &mut self,
        file: BorrowedFd<'_>,
        command: &C,
    ) -> Result<C::Ok, VmError> {
        let given = self.qmp.give(file, command);
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
        let events = events.map_err(|error| self.explain(error))?;
        self.stopped.extend(events.iter().filter_map(Stopped::of));
        Ok(events)
    }

    /// Whether QEMU has paused the guest for a failed request. While no event says so, this asks nobody.
    pub(super) fn is_paused_by_error(&mut self) -> bool {
        is_paused_by_error(&mut self.qmp, &self.stopped)
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
        let (health, qmp, stopped) = (&mut self.health, &mut self.qmp, &self.stopped);
        let Some(agent) = &mut self.agent else {
            return Err(VmError::WithoutAgent(self.profile.clone()));
        };
        let mut check = || {
            health.check()?;
            match is_paused_by_error(qmp, stopped) {
                true => Err(VmError::NoAnswer("does not answer".to_owned())),
                false => Ok(()),
            }
        };
        let result = call(agent, &mut check);
        result.map_err(|error| match error {
            VmError::AgentGone => self.health.exit_error(),
            error => match self.health.check() {
                Err(VmError::TimeIsUp) if agent.silence() >= SILENCE => {
                    VmError::TimeIsUpInSilence(agent.silence())
                }
                Err(why) => why,
                Ok(()) => error,
            },
        })
    }
}
