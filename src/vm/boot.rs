//! Booting: from a saved state where there is one, else for real, and then a state is saved.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};

use super::disks::boot_disks::Drive;
use super::disks::held::{Held, Quiet};
use super::guest::console::Console;
use super::lifecycle::BOOT;
use super::machine::Machine;
use super::qemu::accel::processor;
use super::qemu::arguments::{MachineSpec, PORTS, Sockets, Start, identity, needs_disks};
use super::qemu::process::program;
use super::warm::{About, Found, Key, PLACES, Part, Saved, Slot, Store, wake_program};
use super::{BootFile, BootOptions, Guest, Kvm, State, Vm, VmError, kvm};
use crate::config::Accel;

/// What a boot makes of profile and options, disks apart.
struct Boot {
    guest: Guest,
    memory: String,
    cpus: u32,
    accel: Accel,
    is_cold: bool,
    /// When all has to be there, however it is tried.
    deadline: Instant,
}

impl Boot {
    /// The machine without what only this VM has.
    fn spec<'a>(&'a self, start: Start<'a>, sockets: Sockets) -> MachineSpec<'a> {
        MachineSpec {
            guest: &self.guest,
            memory: &self.memory,
            cpus: self.cpus,
            accel: self.accel,
            disks: Vec::new(),
            sockets,
            start,
        }
    }

    /// The files that it is made of; None where QEMU is not there.
    fn parts(&self, store: &Store) -> io::Result<Option<Vec<Part>>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let guest = &self.guest;
        let files = [Some(&program), Some(&guest.kernel), guest.initrd.as_ref()];
        let files: Vec<_> = files.into_iter().flatten().map(|p| p.as_path()).collect();
        store.parts(&files).map(Some)
    }

    /// What a saved state of it goes by.
    fn key(&self, parts: Vec<Part>) -> Key {
        let words = identity(&self.spec(Start::Boot, Sockets::default()));
        let processor = match self.accel {
            Accel::Kvm => processor(),
            Accel::Tcg | Accel::Auto => String::new(),
        };
        Key::new(&words, parts, &processor)
    }

    /// When a guest that is tried without its disks has to be there, so that it can be tried with them.
    fn half_time(&self) -> Instant {
        let now = Instant::now();
        now + self.deadline.saturating_duration_since(now) / 2
    }
}

impl Vm {
    /// Starts it, with all disks that are attached, and waits for the guest's agent. A boot that fails
    /// leaves none of its own disks attached.
    pub fn boot(&mut self, options: BootOptions) -> Result<(), VmError> {
        let may_boot = matches!(self.state(), State::Created | State::Shutdown);
        if !may_boot || self.server.is_none() {
            return Err(self.wrong_state("vm:boot", "created or shutdown"));
        }
        let options = &options.or(&self.defaults);
        let boot = self.plan(options)?;
        let before = self.disks.len();
        let booted = self
            .attach_boot_disks(&options.disks)
            .and_then(|()| self.start_up(&boot, &options.files));
        if booted.is_err() {
            self.machine = None;
            while let Some(disk) = self.disks.get(before).cloned() {
                self.detach_disk(&disk);
            }
            self.leave_images();
        }
        booted
    }

    fn plan(&mut self, options: &BootOptions) -> Result<Boot, VmError> {
        let mut guest = Guest::of(&self.profile, &self.profile_name)?;
        if let Some(added) = &options.kernel_cmdline {
            guest.cmdline = format!("{} {added}", guest.cmdline);
        }
        self.patience = options.agent_timeout.unwrap_or(BOOT);
        let memory = options.memory.as_ref().unwrap_or(&self.profile.memory);
        Ok(Boot {
            guest,
            memory: memory.clone(),
            cpus: options.cpus.unwrap_or(self.profile.cpus),
            accel: match (self.profile.accel, kvm()) {
                (Accel::Auto, Kvm::Works) => Accel::Kvm,
                (Accel::Auto, _) => Accel::Tcg,
                (chosen, _) => chosen,
            },
            is_cold: self.profile.cold || options.cold == Some(true),
            deadline: Instant::now() + self.patience,
        })
    }

    /// Starts the machine, and gives the guest its files.
    fn start_up(&mut self, boot: &Boot, files: &[BootFile]) -> Result<(), VmError> {
        self.state = State::Dead;
        self.powered_off = false;
        self.claim_images()?;
        self.assign_ports();
        let machine = match boot.is_cold {
            true => self.boot_cold(boot),
            false => self.boot_warm(boot),
        };
        self.machine = Some(machine?);
        self.state = State::Booted;
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.plugged = true;
            }
        }
        let written = files.iter().try_for_each(|file| self.give_file(file));
        if written.is_err() {
            self.stopped(State::Dead);
        }
        written
    }

    fn give_file(&mut self, file: &BootFile) -> Result<(), VmError> {
        self.write_file_with_parents(&file.path, &file.content)?;
        match file.mode {
            Some(mode) => self.chmod(&file.path, mode),
            None => Ok(()),
        }
    }

    pub(super) fn note(&mut self, text: impl std::fmt::Display) {
        self.notes.push(format!("vm `{}`: {text}", self.name));
    }

    /// The kernel boots, and finds `drives`; its agent answers by `deadline`. QEMU's own probes of
    /// the disks meet no rule.
    fn boot_with(
        &self,
        boot: &Boot,
        start: Start<'_>,
        drives: &[Drive],
        deadline: Instant,
    ) -> Result<Machine, VmError> {
        let console = Console::new(&self.folder.console());
        let quiet = Quiet::all(&self.mount()?);
        let mut machine = self.launch(boot, start, drives, console)?;
        drop(quiet);
        machine.resume()?;
        machine.wait_for_agent(deadline, self.patience)?;
        Ok(machine)
    }

    fn launch(
        &self,
        boot: &Boot,
        start: Start<'_>,
        drives: &[Drive],
        console: Console,
    ) -> Result<Machine, VmError> {
        let spec = |sockets| MachineSpec {
            disks: drives.iter().map(Drive::spec).collect(),
            ..boot.spec(start, sockets)
        };
        let mount = self.mount()?;
        Machine::launch(
            spec,
            &self.folder,
            &mount,
            console,
            &self.limit,
            boot.deadline,
        )
    }

    fn boot_cold(&mut self, boot: &Boot) -> Result<Machine, VmError> {
        let drives = self.drives();
        let mut machine = self.boot_with(boot, Start::Boot, &drives, boot.deadline)?;
        self.await_disks(&mut machine, boot.deadline)?;
        Ok(machine)
    }

    /// Waits until the guest of `machine`, which boots, has all disks, or a rule keeps one from it.
    pub(super) fn await_disks(
        &mut self,
        machine: &mut Machine,
        deadline: Instant,
    ) -> Result<(), VmError> {
        for drive in self.drives() {
            if let Some(held) = machine.wait_for_disk(&drive.id, deadline, self.patience)? {
                self.note_held(&drive.id, &held);
                break;
            }
        }
        Ok(())
    }

    fn note_held(&mut self, id: &str, held: &Held) {
        self.note(format!("it does not wait for disk `{id}`: {held}"));
    }

    /// Goes on from the saved state of such a machine. Without one, boots and saves it. What cannot
    /// be resumed boots, and a note says why.
    fn boot_warm(&mut self, boot: &Boot) -> Result<Machine, VmError> {
        if let Some(reason) = needs_disks(&boot.guest.cmdline) {
            self.note(format!("it boots cold: {reason}"));
            return self.boot_cold(boot);
        }
        if self.drives().iter().any(|drive| drive.port.is_none()) {
            self.note(format!("it boots cold: it has more than {PORTS} disks"));
            return self.boot_cold(boot);
        }
        let place = Store::open().and_then(|store| Ok((boot.parts(&store)?, store)));
        let (store, key) = match place {
            Ok((Some(parts), store)) => (store, boot.key(parts)),
            Ok((None, _)) => return self.boot_cold(boot),
            Err(error) => {
                self.note(format!("it boots cold: the saved states: {error}"));
                return self.boot_cold(boot);
            }
        };
        match store.find(&key) {
            Found::Nothing => {}
            Found::Damaged(reason) => self.note(dropped(&reason)),
            Found::Refused(reason) => {
                self.note(format!("it boots cold: {reason}"));
                return self.boot_cold(boot);
            }
            Found::State(saved) => match self.resume_from(boot, &saved) {
                Ok(machine) => return self.plug_all(machine, boot, &store, &key),
                Err(error @ (VmError::TimeIsUp | VmError::Interrupted)) => return Err(error),
                Err(error) if Instant::now() >= boot.deadline => return Err(error),
                Err(error) => {
                    store.discard(&key);
                    self.note(dropped(&error.to_string()));
                }
            },
        }
        match store.reserve(&key) {
            Ok(Some(slot)) => self.boot_and_save(boot, &store, &key, slot),
            // Whoever saves it now is not waited for.
            Ok(None) => self.boot_cold(boot),
            Err(error) => {
                self.note(format!("its state is not saved: {error}"));
                self.boot_cold(boot)
            }
        }
    }

    /// A machine that has gone on from `saved`, without disks.
    fn resume_from(&self, boot: &Boot, saved: &Saved) -> Result<Machine, VmError> {
        let log = self.folder.console();
        let console = Console::new(&log);
        let before = log.metadata().map_or(0, |log| log.len());
        let resumed = || {
            let failed = || VmError::io("the saved state");
            let shown = saved.console().map_err(failed())?;
            append(&log, &shown).map_err(VmError::io(log.display().to_string()))?;
            // QEMU takes as long to start as the file takes to read.
            let mut machine = std::thread::scope(|scope| {
                let verified = scope.spawn(|| saved.verify());
                let start = Start::Resume(saved.memory().as_fd());
                let machine = self.launch(boot, start, &[], console)?;
                let verified = verified.join().unwrap_or_else(|_| {
                    Err(io::Error::other("the thread that verifies it panicked"))
                });
                verified.map_err(failed())?;
                Ok::<_, VmError>(machine)
            })?;
            machine.load(saved.stream().map_err(failed())?)?;
            machine.awake(&saved.about().wake, boot.deadline)?;
            Ok(machine)
        };
        let result = resumed();
        if result.is_err() {
            // What it would have shown, it has not.
            let _ = File::options()
                .write(true)
                .open(&log)
                .and_then(|file| file.set_len(before));
        }
        result
    }

    /// Plugs in all disks. A guest that does not hot-plug boots again, with its disks.
    fn plug_all(
        &mut self,
        mut machine: Machine,
        boot: &Boot,
        store: &Store,
        key: &Key,
    ) -> Result<Machine, VmError> {
        match self.plug_into(&mut machine, boot.deadline) {
            Ok(()) => return Ok(machine),
            Err(VmError::NotSeen { .. }) => drop(machine),
            Err(error) => return Err(error),
        }
        let reason = "its kernel does not find disks that are plugged in while it runs";
        let machine = self.boot_cold(boot)?;
        self.note(format!("it boots cold: {reason}"));
        if let Err(error) = store.refuse(key, reason, self.about(boot)) {
            self.note(format!("that is not remembered: {error}"));
        }
        Ok(machine)
    }

    /// Plugs in all disks, one by one: the guest names them in the order in which it finds them.
    fn plug_into(&mut self, machine: &mut Machine, deadline: Instant) -> Result<(), VmError> {
        let mut is_waited_for = true;
        for drive in self.drives() {
            if !is_waited_for {
                machine.insert(&drive.spec())?;
            } else if let Some(held) = machine.plug(&drive.spec(), deadline)? {
                self.note_held(&drive.id, &held);
                is_waited_for = false;
            }
        }
        Ok(())
    }

    fn about(&self, boot: &Boot) -> About {
        About {
            profile: self.profile_name.clone(),
            memory: boot.memory.clone(),
            cpus: boot.cpus,
            ..About::default()
        }
    }

    /// Boots without disks, saves the state, and plugs the disks in.
    fn boot_and_save(
        &mut self,
        boot: &Boot,
        store: &Store,
        key: &Key,
        slot: Slot,
    ) -> Result<Machine, VmError> {
        let memory = memfd_create("guest memory", MemfdFlags::CLOEXEC);
        let memory = memory.map_err(|error| VmError::io("the guest's memory")(error.into()))?;
        let memory = File::from(memory);
        let deadline = match self.drives().is_empty() {
            true => boot.deadline,
            false => boot.half_time(),
        };
        match self.boot_with(boot, Start::BootIn(memory.as_fd()), &[], deadline) {
            Ok(mut machine) => {
                self.save(&mut machine, boot, &memory, slot)?;
                self.plug_all(machine, boot, store, key)
            }
            // It may be its disks that it misses.
            Err(VmError::Panicked { .. } | VmError::Deadline { .. })
                if !self.drives().is_empty() =>
            {
                let machine = self.boot_cold(boot)?;
                let reason = "without its disks it does not boot";
                self.note(format!("it boots cold: {reason}"));
                if let Err(error) = slot.refuse(reason, self.about(boot)) {
                    self.note(format!("that is not remembered: {error}"));
                }
                Ok(machine)
            }
            Err(error) => Err(error),
        }
    }

    /// Saves the state of `machine`, which goes on. That it cannot be saved is a note; an error is
    /// the end of the machine.
    fn save(
        &mut self,
        machine: &mut Machine,
        boot: &Boot,
        memory: &File,
        mut slot: Slot,
    ) -> Result<(), VmError> {
        let program = wake_program();
        let mut refusal = String::new();
        let place = PLACES.into_iter().find(|place| {
            let taught = machine.teach_to_wake(place, &program);
            taught.map_err(|error| refusal = error.to_string()).is_ok()
        });
        machine.health.check()?;
        let mut about = self.about(boot);
        let Some(place) = place else {
            self.note(format!("it boots cold: {refusal}"));
            let _ = slot.refuse(&refusal, about);
            return Ok(());
        };
        place.clone_into(&mut about.wake);
        let saved = machine.save(|| slot.output(memory));
        machine.health.check()?;
        let finished = saved.and_then(|console| {
            let failed = VmError::io("the saved state");
            slot.finish(&console, about).map_err(failed)
        });
        if let Err(error) = finished {
            self.note(format!("its state is not saved: {error}"));
        }
        Ok(())
    }
}

fn dropped(reason: &str) -> String {
    format!("its saved state is dropped and made again: {reason}")
}

fn append(log: &Path, text: &[u8]) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    file.and_then(|mut file| file.write_all(text))
}
