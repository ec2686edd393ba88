//! From one state of a VM's life to the next: pausing, resetting, shutting down. Booting is in `boot`.

use std::time::Instant;

use super::machine::Machine;
use super::state::{Expected, State};
use super::{Vm, VmError};

impl Vm {
    /// Powers the guest down, if it runs; one that is paused is switched off. What a rule holds is
    /// dropped. The images of its disks are free for others afterwards.
    pub fn shutdown(&mut self) {
        self.state();
        self.untold = None;
        if self.server.is_none() {
            return;
        }
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

    /// Lets a paused guest go on.
    pub fn resume(&mut self) -> Result<(), VmError> {
        match (self.state, self.machine.as_mut()) {
            (State::Paused, Some(machine)) => machine.resume()?,
            _ => return Err(self.wrong_state(Expected::Paused)),
        }
        self.state = State::Booted;
        Ok(())
    }

    /// Presses the power button; it does not wait for what the guest makes of it.
    pub fn power_button(&mut self) -> Result<(), VmError> {
        self.with_machine(Machine::power_button)
    }

    /// Presses the reset button; returns when the guest's agent answers again.
    pub fn reset(&mut self) -> Result<(), VmError> {
        let patience = self.patience;
        let deadline = Instant::now() + patience;
        self.with_machine(|machine| machine.reset(deadline, patience))?;
        let Some(mut machine) = self.machine.take() else {
            return Ok(());
        };
        let seen = self.await_disks(&mut machine, deadline);
        self.machine = Some(machine);
        self.with_machine(|_| seen)
    }
}
