//! Cold boots: the guest's kernel boots, and finds its disks.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Instant;

use super::boot_plan::BootPlan;
use super::disks::held::{KeptBy, Quiet};
use super::guest::console::Console;
use super::machine::Machine;
use super::qemu::arguments::Start;
use super::qemu::drive::Drive;
use super::{Vm, VmError};
use crate::os::memory_file::memory_file;

impl Vm {
    /// A machine whose kernel has booted, with all disks.
    pub(super) fn boot_cold(&mut self, plan: &BootPlan) -> Result<Machine, VmError> {
        let drives = self.disks.drives()?;
        let mut machine = self.boot_from_reset(plan, &drives)?;
        machine.wait_for_agent(plan.deadline, self.patience)?;
        self.await_disks(&mut machine, plan.deadline)?;
        Ok(machine)
    }

    /// The guest begins to boot, with `drives`. QEMU's own probes of the disks meet no rule.
    pub(super) fn boot_from_reset(
        &self,
        plan: &BootPlan,
        drives: &[Drive],
    ) -> Result<Machine, VmError> {
        let console = Console::new(&self.folder.console());
        let quiet = Quiet::all(&self.mount()?);
        let mut machine = match plan.brings_memory() {
            true => self.launch(plan, Start::Boot, drives, console)?,
            false => {
                let memory = guest_memory(0)?;
                let start = Start::BootIn(memory.as_fd());
                self.launch(plan, start, drives, console)?
                    .with_memory(memory)
            }
        };
        drop(quiet);
        machine.resume()?;
        Ok(machine)
    }

    /// Starts QEMU; the guest stands still.
    pub(super) fn launch(
        &self,
        plan: &BootPlan,
        start: Start<'_>,
        drives: &[Drive],
        console: Console,
    ) -> Result<Machine, VmError> {
        Machine::launch(
            &plan.spec(start, drives),
            &self.folder,
            &self.mount()?,
            console,
            &self.limit,
            &self.watch,
            plan.deadline,
        )
    }

    /// Waits until the guest of `machine`, which boots, has all disks, or something keeps one from it. Without an agent
    /// there is nothing to wait for.
    pub(super) fn await_disks(
        &mut self,
        machine: &mut Machine,
        deadline: Instant,
    ) -> Result<(), VmError> {
        let has_agent = machine.has_agent();
        for drive in self.disks.drives()?.into_iter().filter(|_| has_agent) {
            if let Some(kept) = machine.wait_for_disk(&drive, deadline, self.patience)? {
                self.note_kept(&drive.id, kept);
                break;
            }
        }
        Ok(())
    }

    pub(super) fn note_kept(&mut self, id: &str, kept: KeptBy) {
        let why = match kept {
            KeptBy::Rule(held) => held.to_string(),
            KeptBy::Error(error) => format!("QEMU has paused the guest, for {}", self.named(error)),
        };
        self.note(format!("it does not wait for disk `{id}`: {why}"));
    }
}

/// A file for `len` bytes of a guest's memory; QEMU makes it as long as it needs.
pub(super) fn guest_memory(len: u64) -> Result<File, VmError> {
    memory_file("guest memory", len).map_err(VmError::io("the guest's memory"))
}
