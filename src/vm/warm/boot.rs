//! Warm boots: going on from a saved state where there is one, else booting, and saving a state.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use super::key::{Key, Part};
use super::state::{About, Saved};
use super::store::{Found, Slot, Store};
use super::wake::{PLACES, wake_program};
use crate::config::Accel;
use crate::vm::boot_plan::BootPlan;
use crate::vm::cold_boot::guest_memory;
use crate::vm::guest::console::Console;
use crate::vm::machine::Machine;
use crate::vm::qemu::accel::processor;
use crate::vm::qemu::arguments::{Start, identity};
use crate::vm::qemu::ports::PORTS;
use crate::vm::{Vm, VmError};

/// Where the state of a machine is kept.
struct Place {
    store: Store,
    key: Key,
}

impl Vm {
    /// Goes on from the saved state of such a machine. Without one, boots and saves it. A guest that cannot
    /// be resumed boots, and a note says why.
    pub(in crate::vm) fn boot_warm(&mut self, plan: &BootPlan) -> Result<Machine, VmError> {
        let Some(place) = self.place(plan) else {
            return self.boot_cold(plan);
        };
        match place.store.find(&place.key) {
            Found::Nothing => {}
            Found::Damaged(reason) => self.note_dropped(&reason),
            Found::Refused(reason) => {
                self.note_cold(&reason);
                return self.boot_cold(plan);
            }
            Found::State(saved) => {
                if let Some(machine) = self.try_to_resume(plan, &place, &saved)? {
                    return self.plug_all(machine, plan, &place);
                }
            }
        }
        match place.store.reserve(&place.key) {
            Ok(Some(slot)) => self.boot_and_save(plan, &place, slot),
            // A boot does not wait for another one that saves the state now.
            Ok(None) => self.boot_cold(plan),
            Err(error) => {
                self.note(format!("its state is not saved: {error}"));
                self.boot_cold(plan)
            }
        }
    }

    /// Where the state of such a machine is kept; None, and a note, for one that has to boot.
    fn place(&mut self, plan: &BootPlan) -> Option<Place> {
        if let Some(reason) = &plan.no_state {
            self.note_cold(reason);
            return None;
        }
        if self.disks.with_image() > PORTS as usize {
            self.note_cold(&format!("it has more than {PORTS} disks"));
            return None;
        }
        if let Some(drive) = self.disks.not_hot_plugged() {
            self.note_cold(&format!(
                "disk `{}` is on {}, which is not plugged in later",
                drive.id,
                drive.bus_name()
            ));
            return None;
        }
        match Store::open().and_then(|store| place(plan, store)) {
            Ok(place) => Some(place),
            Err(error) => {
                self.note_cold(&format!("the saved states: {error}"));
                None
            }
        }
    }

    /// A machine that has gone on from `saved`; None, and a note, when the state is of no use.
    fn try_to_resume(
        &mut self,
        plan: &BootPlan,
        place: &Place,
        saved: &Saved,
    ) -> Result<Option<Machine>, VmError> {
        match self.resume_from(plan, saved) {
            Ok(machine) => Ok(Some(machine)),
            Err(
                error @ (VmError::TimeIsUp
                | VmError::TimeIsUpInSilence(_)
                | VmError::Interrupted
                | VmError::PowerCut { .. }),
            ) => Err(error),
            Err(error) if Instant::now() >= plan.deadline => Err(error),
            Err(error) => {
                place.store.discard(&place.key);
                self.note_dropped(&error.to_string());
                Ok(None)
            }
        }
    }

    /// A machine that has gone on from `saved`, without disks. When it fails, the console's log is as before.
    fn resume_from(&self, plan: &BootPlan, saved: &Saved) -> Result<Machine, VmError> {
        let log = self.folder.console();
        let console = Console::new(&log);
        let before = log.metadata().map_or(0, |log| log.len());
        let resumed = saved.console().map_err(failed).and_then(|shown| {
            append(&log, &shown).map_err(VmError::io(log.display().to_string()))?;
            let mut machine = self.launch_verified(plan, saved, console)?;
            machine.load(saved.stream().map_err(failed)?)?;
            machine.awake(&saved.about().wake, plan.deadline)?;
            Ok(machine)
        });
        if resumed.is_err() {
            let log = File::options().write(true).open(&log);
            let _ = log.and_then(|log| log.set_len(before));
        }
        resumed
    }

    /// Starts QEMU with the memory of `saved`, which is verified and copied meanwhile: QEMU takes as long to start as
    /// the file takes to read.
    fn launch_verified(
        &self,
        plan: &BootPlan,
        saved: &Saved,
        console: Console,
    ) -> Result<Machine, VmError> {
        let memory = guest_memory(saved.memory_len())?;
        let machine = std::thread::scope(|scope| {
            let verified = scope.spawn(|| saved.unpack(&memory));
            let start = Start::Resume(memory.as_fd());
            let machine = self.launch(plan, start, &[], console)?;
            let panicked = |_| Err(io::Error::other("the thread that verifies it panicked"));
            verified.join().unwrap_or_else(panicked).map_err(failed)?;
            Ok(machine)
        });
        machine.map(|machine| machine.with_memory(memory))
    }

    /// Plugs in all disks. A guest that does not hot-plug boots again, with its disks.
    fn plug_all(
        &mut self,
        mut machine: Machine,
        plan: &BootPlan,
        place: &Place,
    ) -> Result<Machine, VmError> {
        match self.plug_into(&mut machine, plan.deadline) {
            Ok(()) => return Ok(machine),
            Err(VmError::NotSeen { .. }) => drop(machine),
            Err(error) => return Err(error),
        }
        let reason = "its kernel does not find disks that are plugged in while it runs";
        let machine = self.boot_cold(plan)?;
        self.note_cold(reason);
        let refused = place.store.refuse(&place.key, reason, self.about(plan));
        self.note_forgotten(refused);
        Ok(machine)
    }

    /// Plugs in all disks, one by one: the guest names them in the order in which it finds them.
    fn plug_into(&mut self, machine: &mut Machine, deadline: Instant) -> Result<(), VmError> {
        let mut is_waited_for = true;
        for drive in self.disks.drives()? {
            if !is_waited_for {
                machine.insert(&drive)?;
            } else if let Some(kept) = machine.plug(&drive, deadline)? {
                self.note_kept(&drive.id, kept);
                is_waited_for = false;
            }
        }
        Ok(())
    }

    /// Boots without disks, saves the state, and plugs the disks in.
    fn boot_and_save(
        &mut self,
        plan: &BootPlan,
        place: &Place,
        slot: Slot,
    ) -> Result<Machine, VmError> {
        let mut machine = self.boot_from_reset(plan, &[])?;
        let has_disks = self.disks.with_image() > 0;
        let deadline = match has_disks {
            true => half_time(plan),
            false => plan.deadline,
        };
        let (reason, machine) = match machine.wait_for_agent(deadline, self.patience) {
            Ok(()) => {
                self.save(&mut machine, plan, slot)?;
                return self.plug_all(machine, plan, place);
            }
            // It may be its disks that it misses.
            Err(VmError::Panicked { .. }) if has_disks => {
                ("it panics without its disks", self.boot_cold(plan)?)
            }
            Err(VmError::NoAgent { .. }) if has_disks => {
                self.plug_late(&mut machine, plan)?;
                ("its agent does not answer without its disks", machine)
            }
            Err(error) => return Err(error),
        };
        self.note_cold(reason);
        let refused = slot.refuse(reason, self.about(plan));
        self.note_forgotten(refused);
        Ok(machine)
    }

    /// Plugs the disks into a machine that still boots: its guest may wait for them. It has the rest of the time.
    fn plug_late(&mut self, machine: &mut Machine, plan: &BootPlan) -> Result<(), VmError> {
        for drive in self.disks.drives()? {
            machine.insert(&drive)?;
        }
        machine.wait_for_agent(plan.deadline, self.patience)?;
        self.await_disks(machine, plan.deadline)
    }

    /// Saves the state of `machine`, which goes on. That it cannot be saved is a note; an error is
    /// the end of the machine.
    fn save(
        &mut self,
        machine: &mut Machine,
        plan: &BootPlan,
        mut slot: Slot,
    ) -> Result<(), VmError> {
        let mut about = self.about(plan);
        match teach_to_wake(machine)? {
            Ok(place) => place.clone_into(&mut about.wake),
            Err(refusal) => {
                self.note_cold(&refusal);
                let _ = slot.refuse(&refusal, about);
                return Ok(());
            }
        }
        let saved = machine.save(|memory| slot.output(memory));
        machine.health.check()?;
        let finished = saved.and_then(|console| slot.finish(&console, about).map_err(failed));
        if let Err(error) = finished {
            self.note(format!("its state is not saved: {error}"));
        }
        Ok(())
    }

    fn about(&self, plan: &BootPlan) -> About {
        About {
            profile: self.profile_name.clone(),
            memory: plan.memory.clone(),
            cpus: plan.cpus,
            ..About::default()
        }
    }

    fn note_cold(&mut self, reason: &str) {
        self.note(format!("it boots cold: {reason}"));
    }

    fn note_dropped(&mut self, reason: &str) {
        let text = format!("its saved state is dropped and made again: {reason}");
        self.note(text);
    }

    /// Notes that the refusal of a state could not be kept.
    fn note_forgotten(&mut self, kept: io::Result<()>) {
        if let Err(error) = kept {
            self.note(format!("that is not remembered: {error}"));
        }
    }
}

/// Where the state of such a machine is kept.
fn place(plan: &BootPlan, store: Store) -> io::Result<Place> {
    let guest = plan.guest.iter();
    let of_guest = guest.flat_map(|guest| [Some(&guest.kernel), guest.initrd.as_ref()]);
    let files = [Some(&plan.program)].into_iter().chain(of_guest);
    let files: Vec<_> = files.flatten().map(|p| p.as_path()).collect();
    let key = key(plan, store.parts(&files)?);
    Ok(Place { store, key })
}

/// The key of a machine that is made of these files.
fn key(plan: &BootPlan, parts: Vec<Part>) -> Key {
    let words = identity(&plan.spec(Start::Boot, &[]));
    let processor = match plan.accel {
        Accel::Kvm => processor(),
        Accel::Tcg | Accel::Auto => String::new(),
    };
    Key::new(&words, parts, &processor)
}

/// When the agent of a guest that is booted without its disks has to answer, before the guest gets them.
fn half_time(plan: &BootPlan) -> Instant {
    let now = Instant::now();
    now + plan.deadline.saturating_duration_since(now) / 2
}

/// Puts the program that wakes a guest up into the guest: where it lies, or why it does not run. An error is
/// the end of the machine.
fn teach_to_wake(machine: &mut Machine) -> Result<Result<&'static str, String>, VmError> {
    let program = wake_program();
    let mut refusal = String::new();
    let place = PLACES.into_iter().find(|place| {
        let taught = machine.teach_to_wake(place, &program);
        taught.map_err(|error| refusal = error.to_string()).is_ok()
    });
    machine.health.check()?;
    Ok(place.ok_or(refusal))
}

fn failed(error: io::Error) -> VmError {
    VmError::io("the saved state")(error)
}

fn append(log: &Path, text: &[u8]) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    file.and_then(|mut file| file.write_all(text))
}
