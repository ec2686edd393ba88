//! Pausing, resetting and powering down: the buttons of a machine.

use std::time::{Duration, Instant};

use qapi::qmp::{self, Event};

use super::disks::held::{Quiet, drop_held, dropping_held, held};
use super::machine::{Machine, Seen};
use super::qemu::arguments::AGENT_PORT;
use super::state::{Expected, State};
use super::{Vm, VmError};

/// How long a guest may take to power down before it is switched off.
const POWER_DOWN: Duration = Duration::from_secs(20);
/// How long it may take while rules have its requests wait.
const POWER_DOWN_HELD: Duration = Duration::from_secs(3);
/// How long one of these requests may have waited.
const LONGEST_HELD: Duration = Duration::from_secs(1);
/// How long a pause waits for requests that a rule delays.
const DELAYED: Duration = Duration::from_millis(200);
/// Between two looks at these.
const LOOK_AGAIN: Duration = Duration::from_millis(3);
/// Between two looks at a guest from which nothing comes by itself.
const TICK: Duration = Duration::from_millis(20);

impl Vm {
    /// Powers the guest down, if it runs; one that is paused is switched off. What a rule holds is
    /// dropped. The images of its disks are free for others afterwards.
    pub fn shutdown(&mut self) {
        self.state();
        self.untold = None;
        if self.server.is_none() {
            return;
        }
        let _ = self.note_io_error();
        match (self.state, self.machine.take()) {
            (State::Booted, Some(machine)) => machine.shut_down(),
            (_, machine) => drop(machine),
        }
        self.has_shut_down();
    }

    /// Stops the guest's processors, until [`resume`](Self::resume).
    pub fn pause(&mut self) -> Result<(), VmError> {
        self.with_machine(Machine::pause)?;
        self.state = State::Paused;
        Ok(())
    }

    /// Lets a paused guest go on, also one that QEMU has paused because a request has failed.
    pub fn resume(&mut self) -> Result<(), VmError> {
        self.note_io_error()?;
        match (self.state, self.machine.as_mut()) {
            (State::Paused, Some(machine)) => machine.resume()?,
            _ => return Err(self.wrong_state(Expected::Paused)),
        }
        self.state = State::Booted;
        Ok(())
    }

    /// Presses the power button, and does not wait for the guest to react.
    pub fn power_button(&mut self) -> Result<(), VmError> {
        self.with_machine(Machine::power_button)
    }
}

impl Machine {
    /// Waits until the agent of a booting guest answers, if it has one.
    pub(super) fn wait_for_agent(
        &mut self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), VmError> {
        if !self.has_agent() {
            return Ok(());
        }
        while !self.seen.agent {
            self.health.check()?;
            if Instant::now() >= deadline {
                return Err(self.no_agent(patience));
            }
            let events = self.events(TICK)?;
            self.seen.resets += events.iter().filter(|event| is_reset(event)).count();
            self.seen.agent = events.iter().any(is_agent_opening);
            if let Some(error) = self.paused_by_error() {
                return Err(VmError::PausedInBoot(error));
            }
        }
        let answered = self.agent(|agent, _| agent.sync(deadline));
        answered.map_err(|error| match error {
            VmError::NoAnswer(_) if Instant::now() >= deadline => self.no_agent(patience),
            error => error,
        })
    }

    fn no_agent(&self, after: Duration) -> VmError {
        VmError::NoAgent {
            after,
            port: AGENT_PORT,
            opened: self.seen.agent,
            resets: self.seen.resets,
            console: self.health.console.end(),
        }
    }

    /// Presses the reset button and waits until the agent answers again. What rules hold is dropped:
    /// QEMU resets a disk when all of its requests are answered, while the guest stands still.
    pub(super) fn reset(&mut self, deadline: Instant, patience: Duration) -> Result<(), VmError> {
        self.events(Duration::ZERO)?; // Events of before are old news.
        // It may answer only when it is done.
        dropping_held(&self.mount.clone(), || self.execute(&qmp::system_reset {}))?;
        while !self.events(TICK)?.iter().any(is_reset) {
            let what = "the machine was not reset";
            self.health.check_until(what, deadline, patience)?;
            drop_held(&self.mount);
        }
        self.seen = Seen::default();
        let answered = self.wait_for_agent(deadline, patience);
        answered.map_err(|error| match error {
            // The machine stays, and can be resumed.
            VmError::PausedInBoot(_) => VmError::NoAnswer("does not answer".to_owned()),
            error => error,
        })
    }

    /// Stops the guest's processors, once all of its requests are answered: not while a rule holds
    /// one. The flush that QEMU adds meets no rule.
    pub(super) fn pause(&mut self) -> Result<(), VmError> {
        let _quiet = Quiet::all(&self.mount);
        self.await_unheld()?;
        self.stop()
    }

    /// Waits until no rule has a request wait; fails where one holds it.
    pub(super) fn await_unheld(&self) -> Result<(), VmError> {
        let patience = Instant::now() + DELAYED;
        while let Some(held) = held(&self.mount).first() {
            if held.request.is_hang() || Instant::now() >= patience {
                return Err(VmError::Held(held.to_string()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Stops the guest's processors.
    pub(super) fn stop(&mut self) -> Result<(), VmError> {
        self.execute(&qmp::stop {}).map(drop)
    }

    /// Lets them go on.
    pub(super) fn resume(&mut self) -> Result<(), VmError> {
        self.events(Duration::ZERO)?;
        self.stopped.clear();
        self.execute(&qmp::cont {})?;
        for fdset_id in std::mem::take(&mut self.unused) {
            self.execute(&qmp::remove_fd { fdset_id, fd: None })?;
        }
        Ok(())
    }

    /// Presses the power button, and does not wait for the guest to react.
    pub(super) fn power_button(&mut self) -> Result<(), VmError> {
        self.execute(&qmp::system_powerdown {}).map(drop)
    }

    /// Powers the guest down, by its power button if it has no agent. It is switched off when it takes too long, or waits for a request that a
    /// rule holds.
    pub(super) fn shut_down(mut self) {
        let asked = match self.has_agent() {
            true => self.agent(|agent, _| agent.shut_down()),
            false => self.power_button(),
        };
        if asked.is_err() {
            return;
        }
        let start = Instant::now();
        let patience = self.health.limit.cut(POWER_DOWN);
        while self.health.wait_for_exit(TICK).is_none() && start.elapsed() < patience {
            let held = held(&self.mount);
            let is_old = held.iter().any(|held| held.request.age >= LONGEST_HELD);
            if is_old || (!held.is_empty() && start.elapsed() >= POWER_DOWN_HELD) {
                return;
            }
        }
    }
}

/// Whether the machine was reset, by us or by its guest.
fn is_reset(event: &Event) -> bool {
    matches!(event, Event::RESET { .. })
}

/// Whether the agent has opened its end of the only port that we watch.
fn is_agent_opening(event: &Event) -> bool {
    matches!(event, Event::VSERPORT_CHANGE { data, .. } if data.open)
}
