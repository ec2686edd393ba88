//! Taking a snapshot. The guest stands still meanwhile, and goes on in any case.

use std::time::Duration;

use super::devices::Processors;
use super::flushes::{self, Changes};
use super::machine::Saved;
use super::taken::{Checkpoints, VmSnapshot};
use crate::vm::disks::held::Quiet;
use crate::vm::guest::console::Expecting;
use crate::vm::machine::Machine;
use crate::vm::state::{Expected, State};
use crate::vm::{Vm, VmError};

/// How often to look for a moment in which no interrupt is on its way to the processor, and no request to a disk.
const TRIES: u32 = 20;
/// How long the guest goes on between two of them.
const GO_ON: Duration = Duration::from_millis(1);

impl Vm {
    /// All that makes the VM what it is now: its memory, its devices, its disks with what is pending in them, and its
    /// rules with their counters. The guest goes on.
    pub fn snapshot(&mut self) -> Result<VmSnapshot, VmError> {
        self.check()?;
        let (Some(plan), true) = (self.plan.clone(), self.is_running()) else {
            return Err(self.wrong_state(Expected::Running));
        };
        let was_paused = self.state == State::Paused;
        let Some(mut machine) = self.machine.take() else {
            return Err(self.wrong_state(Expected::Running));
        };
        let taken = self.take(&mut machine, was_paused);
        self.machine = Some(machine);
        let Taken {
            saved,
            checkpoints,
            expecting,
        } = self.judged(taken)?;
        Ok(VmSnapshot {
            vm: self.number,
            vm_name: self.name.clone(),
            machine: saved,
            plan,
            was_paused,
            disks: self.disks.all(),
            drives: self.disks.plugged(),
            checkpoints,
            known: self.past.known(),
            expecting,
        })
    }

    fn take(&mut self, machine: &mut Machine, was_paused: bool) -> Result<Taken, VmError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let is_last = tries >= TRIES;
            let quiet = Quiet::all(&self.mount()?);
            let taken = match was_paused {
                true => self.take_still(machine, None, true),
                false => self.stop_and_take(machine, is_last),
            };
            drop(quiet);
            if let Some(taken) = taken? {
                return Ok(taken);
            }
            machine.health.pause(GO_ON);
        }
    }

    /// None if the guest did something just then.
    fn stop_and_take(
        &mut self,
        machine: &mut Machine,
        is_last: bool,
    ) -> Result<Option<Taken>, VmError> {
        machine.await_unheld()?;
        let early = match flushes::matter(&machine.mount)? && !is_last {
            true => Some((machine.changes()?, self.checkpoints(machine)?)),
            false => None,
        };
        machine.stop()?;
        let taken = self.take_still(machine, early, is_last);
        machine.resume().and(taken)
    }

    /// `early` is what was saved of the disks before QEMU flushed them.
    fn take_still(
        &mut self,
        machine: &mut Machine,
        early: Option<(Changes, Checkpoints)>,
        is_last: bool,
    ) -> Result<Option<Taken>, VmError> {
        let early = match early {
            Some((before, _)) if machine.changes()? != before => return Ok(None),
            Some((_, checkpoints)) => Some(checkpoints),
            None => None,
        };
        let (stream, processors) = machine.devices()?;
        if let Some(checkpoints) = &early {
            if let Err(error) = checkpoints.restore() {
                self.note(format!("what was pending is durable now: {error}"));
            }
            machine.pass_on_flushes(&self.disks.plugged())?;
        }
        if processors == Processors::Interrupted && !is_last {
            return Ok(None);
        }
        let checkpoints = match early {
            Some(checkpoints) => checkpoints,
            None => self.checkpoints(machine)?,
        };
        Ok(Some(Taken {
            saved: machine.saved(stream, processors)?,
            checkpoints,
            expecting: machine.expecting(),
        }))
    }

    /// Saves the disks, under a name that no other snapshot has.
    fn checkpoints(&mut self, machine: &Machine) -> Result<Checkpoints, VmError> {
        let name = format!("snapshot-{}", self.past.now());
        Ok(Checkpoints::save(&machine.mount, name)?)
    }
}

/// What a snapshot has of a guest that stands still.
struct Taken {
    saved: Saved,
    checkpoints: Checkpoints,
    expecting: Expecting,
}
