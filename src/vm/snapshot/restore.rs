//! Going back to a snapshot: in the same QEMU where it still has the devices of then, else in another one.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::flushes;
use super::taken::VmSnapshot;
use crate::vm::boot_plan::BootPlan;
use crate::vm::cold_boot::guest_memory;
use crate::vm::disks::held::{Quiet, drop_held, dropping_held};
use crate::vm::guest::console::Console;
use crate::vm::machine::Machine;
use crate::vm::qemu::arguments::Start;
use crate::vm::state::{Expected, State};
use crate::vm::{Vm, VmError};

/// How long a guest that has gone back may take until its agent answers.
const ANSWER: Duration = Duration::from_secs(10);

/// What the guest's clock shows after a return to a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestoreClock {
    /// The host's time.
    #[default]
    Now,
    /// What it showed when the snapshot was taken.
    Then,
}

impl Vm {
    /// Makes the VM what it was when `snapshot` was taken, whatever has become of it since, unless it was closed. What
    /// rules hold is dropped.
    pub fn restore(&mut self, snapshot: &VmSnapshot, clock: RestoreClock) -> Result<(), VmError> {
        self.limit.check()?;
        self.state();
        self.check_fits(snapshot)?;
        let mount = self.mount()?;
        let machine = self.machine_of(snapshot);
        let quiet = Quiet::all(&mount);
        let machine = machine.and_then(|mut machine| {
            drop_held(&mount);
            let stopped = dropping_held(&mount, || machine.stop());
            stopped.is_ok().then_some(machine)
        });
        self.stopped(State::Dead);
        self.untold = None;
        self.powered_off = false;
        self.ended_console = None;
        self.power_loss = None;
        self.go_back_with_disks(snapshot)?;
        let in_place = machine.and_then(|mut machine| match machine.go_back(&snapshot.machine) {
            Ok(()) => Some(machine),
            Err(error) => {
                self.note(format!("it goes back in another QEMU: {error}"));
                None
            }
        });
        let mut machine = match in_place {
            Some(machine) => machine,
            None => self.launch_back(snapshot)?,
        };
        if flushes::matter(&mount)? {
            machine.pass_on_flushes(&snapshot.drives)?;
        }
        machine.expect_again(&snapshot.expecting);
        self.past.go_back(&snapshot.known);
        self.plan = Some(Rc::clone(&snapshot.plan));
        self.disks.set_plugged_drives(&snapshot.drives);
        drop(quiet);
        self.state = State::Paused;
        let went_on = match snapshot.was_paused {
            true => Ok(()),
            false => {
                self.state = State::Booted;
                machine.go_on(clock)
            }
        };
        self.machine = Some(machine);
        self.judged(went_on)
    }

    /// Fails where the VM cannot go back to `snapshot`.
    fn check_fits(&self, snapshot: &VmSnapshot) -> Result<(), VmError> {
        if self.server.is_none() {
            return Err(self.wrong_state(Expected::Open));
        }
        if snapshot.vm != self.number {
            return Err(VmError::OtherSnapshot {
                vm: self.name.clone(),
                of: snapshot.vm_name.clone(),
            });
        }
        let gone = snapshot
            .disks
            .iter()
            .find(|disk| disk.borrow().is_detached());
        match gone {
            None => Ok(snapshot.checkpoints.check()?),
            Some(disk) => Err(VmError::SnapshotDiskGone {
                id: disk.borrow().id().to_owned(),
                vm: self.name.clone(),
            }),
        }
    }

    /// The machine, if it can go back to `snapshot` itself: it runs, and is made as it was then. Another one is ended.
    fn machine_of(&mut self, snapshot: &VmSnapshot) -> Option<Machine> {
        let is_running = self.is_running();
        let plan = self.plan.as_ref();
        let is_same = plan.is_some_and(|plan| Rc::ptr_eq(plan, &snapshot.plan))
            && self.disks.plugged() == snapshot.drives;
        let machine = self.machine.take()?;
        if is_running && is_same {
            return Some(machine);
        }
        machine.end();
        None
    }

    /// Detaches the disks that were attached since, and makes the others what they were.
    fn go_back_with_disks(&mut self, snapshot: &VmSnapshot) -> Result<(), VmError> {
        for disk in self.disks.all() {
            let is_of_then = snapshot.disks.iter().any(|other| Rc::ptr_eq(other, &disk));
            if !is_of_then {
                self.detach_disk(&disk);
            }
        }
        self.disks.claim_images(&self.name)?;
        Ok(snapshot.checkpoints.restore()?)
    }

    /// Another QEMU that is what the machine was; it stands still.
    fn launch_back(&mut self, snapshot: &VmSnapshot) -> Result<Machine, VmError> {
        let mut plan = BootPlan::clone(&snapshot.plan);
        plan.deadline = Instant::now() + self.limit.cut(self.patience);
        self.watch.start(&self.mount()?)?;
        let saved = &snapshot.machine;
        let memory = guest_memory(saved.memory.len())?;
        let console = Console::new(&self.folder.console());
        let drives = self.disks.sized(&snapshot.drives)?;
        let machine = std::thread::scope(|scope| {
            let filled = scope.spawn(|| saved.memory.fill(&memory));
            let start = Start::BootIn(memory.as_fd());
            let machine = self.launch(&plan, start, &drives, console)?;
            let panicked = |_| Err(io::Error::other("the thread that copies it panicked"));
            let filled = filled.join().unwrap_or_else(panicked);
            filled.map_err(VmError::io("the guest's memory"))?;
            Ok::<_, VmError>(machine)
        });
        let mut machine = machine?.with_memory(memory);
        machine.load_devices(saved, true)?;
        Ok(machine)
    }
}

impl Machine {
    /// Lets the guest go on, and waits for its agent, which may be out of step with us.
    fn go_on(&mut self, clock: RestoreClock) -> Result<(), VmError> {
        self.resume()?;
        if !self.has_agent() {
            return Ok(());
        }
        let deadline = Instant::now() + self.health.limit.cut(ANSWER);
        self.agent(|agent, _| agent.sync(deadline))?;
        match clock {
            RestoreClock::Then => Ok(()),
            RestoreClock::Now => self.set_time_of_host(),
        }
    }
}
