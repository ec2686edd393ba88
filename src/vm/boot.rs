//! Booting: from a saved state where there is one, else for real, and then a state is saved.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};

use super::accel::processor;
use super::arguments::{DriveSpec, MachineSpec, PORTS, Sockets, Start, identity, needs_disks};
use super::console::Console;
use super::lifecycle::BOOT;
use super::machine::Machine;
use super::warm::{About, Found, Key, PLACES, Saved, Slot, Store, wake_program};
use super::{
    AttachOptions, BootDisk, BootImage, BootOptions, Guest, Kvm, State, Vm, VmError, kvm, qemu,
};
use crate::config::Accel;

/// What a boot makes of profile and options, disks apart.
struct Hardware {
    guest: Guest,
    memory: String,
    cpus: u32,
    accel: Accel,
}

impl Hardware {
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

    /// What a saved state of it goes by; None where QEMU is not there.
    fn key(&self) -> io::Result<Option<Key>> {
        let Some(program) = qemu::program() else {
            return Ok(None);
        };
        let guest = &self.guest;
        let files = [Some(&program), Some(&guest.kernel), guest.initrd.as_ref()];
        let files: Vec<_> = files.into_iter().flatten().map(|p| p.as_path()).collect();
        let words = identity(&self.spec(Start::Boot, Sockets::default()));
        let processor = match self.accel {
            Accel::Kvm => processor(),
            Accel::Tcg | Accel::Auto => String::new(),
        };
        Key::new(&words, &files, &processor).map(Some)
    }
}

/// A disk that the machine gets.
struct Drive {
    id: String,
    file: PathBuf,
    read_only: bool,
    number: u32,
    port: Option<u32>,
}

impl Drive {
    fn spec(&self) -> DriveSpec<'_> {
        DriveSpec {
            id: &self.id,
            file: &self.file,
            read_only: self.read_only,
            number: self.number,
            port: self.port,
        }
    }
}

impl Vm {
    /// Starts it, with all disks that are attached, and waits for the guest's agent.
    pub fn boot(&mut self, options: BootOptions) -> Result<(), VmError> {
        if !matches!(self.state(), State::Created | State::Shutdown) {
            return Err(self.wrong_state("vm:boot", "created or shutdown"));
        }
        let options = &options.or(&self.defaults);
        let mut guest = Guest::of(&self.profile, &self.profile_name)?;
        if let Some(added) = &options.kernel_cmdline {
            guest.cmdline = format!("{} {added}", guest.cmdline);
        }
        self.patience = options.agent_timeout.unwrap_or(BOOT);
        for disk in &options.disks {
            self.attach_boot_disk(disk)?;
        }
        let memory = options.memory.as_ref().unwrap_or(&self.profile.memory);
        let hardware = Hardware {
            guest,
            memory: memory.clone(),
            cpus: options.cpus.unwrap_or(self.profile.cpus),
            accel: match (self.profile.accel, kvm()) {
                (Accel::Auto, Kvm::Works) => Accel::Kvm,
                (Accel::Auto, _) => Accel::Tcg,
                (chosen, _) => chosen,
            },
        };
        self.assign_ports();
        let machine = match self.profile.cold || options.cold == Some(true) {
            true => self.boot_cold(&hardware),
            false => self.boot_warm(&hardware),
        };
        self.state = if machine.is_ok() {
            State::Booted
        } else {
            State::Dead
        };
        self.machine = Some(machine?);
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.plugged = true;
            }
        }
        for file in &options.files {
            self.write_file_with_parents(&file.path, &file.content)?;
            if let Some(mode) = file.mode {
                self.chmod(&file.path, mode)?;
            }
        }
        Ok(())
    }

    fn attach_boot_disk(&mut self, disk: &BootDisk) -> Result<(), VmError> {
        let image = match &disk.image {
            BootImage::Path(path) => path.clone(),
            BootImage::Scratch(size) => self.folder.scratch_image(*size)?,
        };
        let options = AttachOptions {
            id: disk.id.clone(),
            size: None,
            image: Some(image),
            served: disk.served,
        };
        self.attach_disk(options).map(drop)
    }

    /// The disks with an image, in the order in which they were attached.
    fn drives(&self) -> Vec<Drive> {
        let drive = |disk: &super::DiskRecord| {
            let mounted = disk.mounted()?;
            Some(Drive {
                id: disk.id.clone(),
                file: disk.path()?,
                read_only: mounted.read_only,
                number: mounted.number,
                port: mounted.port,
            })
        };
        let disks = self.disks.iter();
        disks.filter_map(|disk| drive(&disk.borrow())).collect()
    }

    /// Gives the disks their slots in the order in which they were attached: the guest names them in
    /// that of the slots.
    fn assign_ports(&self) {
        let mut ports = 0..PORTS;
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.port = ports.next();
            }
        }
    }

    fn note(&mut self, text: impl std::fmt::Display) {
        self.notes.push(format!("vm `{}`: {text}", self.name));
    }

    /// The kernel boots, and finds `drives`.
    fn boot_with(
        &self,
        hardware: &Hardware,
        start: Start<'_>,
        drives: &[Drive],
    ) -> Result<Machine, VmError> {
        let deadline = Instant::now() + self.patience;
        let console = Console::new(&self.folder.console());
        let mut machine = self.launch(hardware, start, drives, console, deadline)?;
        machine.wait_for_agent(deadline, self.patience)?;
        Ok(machine)
    }

    fn launch(
        &self,
        hardware: &Hardware,
        start: Start<'_>,
        drives: &[Drive],
        console: Console,
        deadline: Instant,
    ) -> Result<Machine, VmError> {
        let spec = |sockets| MachineSpec {
            disks: drives.iter().map(Drive::spec).collect(),
            ..hardware.spec(start, sockets)
        };
        Machine::launch(spec, &self.folder, console, &self.limit, deadline)
    }

    fn boot_cold(&self, hardware: &Hardware) -> Result<Machine, VmError> {
        self.boot_with(hardware, Start::Boot, &self.drives())
    }

    /// Goes on from the saved state of such a machine. Without one, boots and saves it. What cannot
    /// be resumed boots, and a note says why.
    fn boot_warm(&mut self, hardware: &Hardware) -> Result<Machine, VmError> {
        if let Some(reason) = needs_disks(&hardware.guest.cmdline) {
            self.note(format!("it boots cold: {reason}"));
            return self.boot_cold(hardware);
        }
        if self.drives().iter().any(|drive| drive.port.is_none()) {
            self.note(format!("it boots cold: it has more than {PORTS} disks"));
            return self.boot_cold(hardware);
        }
        let place = Store::open().and_then(|store| Ok(hardware.key()?.map(|key| (store, key))));
        let (store, key) = match place {
            Ok(Some(place)) => place,
            Ok(None) => return self.boot_cold(hardware),
            Err(error) => {
                self.note(format!("it boots cold: the saved states: {error}"));
                return self.boot_cold(hardware);
            }
        };
        match store.find(&key) {
            Found::Nothing => {}
            Found::Damaged(reason) => self.note(dropped(&reason)),
            Found::Refused(reason) => {
                self.note(format!("it boots cold: {reason}"));
                return self.boot_cold(hardware);
            }
            Found::State(saved) => match self.resume_from(hardware, &saved) {
                Ok(machine) => return self.plug_all(machine, hardware, &store, &key),
                Err(error @ (VmError::TimeIsUp | VmError::Interrupted)) => return Err(error),
                Err(error) => {
                    store.discard(&key);
                    self.note(dropped(&error.to_string()));
                }
            },
        }
        match store.reserve(&key) {
            Ok(Some(slot)) => self.boot_and_save(hardware, &store, &key, slot),
            // Whoever saves it now is not waited for.
            Ok(None) => self.boot_cold(hardware),
            Err(error) => {
                self.note(format!("its state is not saved: {error}"));
                self.boot_cold(hardware)
            }
        }
    }

    /// A machine that has gone on from `saved`, without disks.
    fn resume_from(&self, hardware: &Hardware, saved: &Saved) -> Result<Machine, VmError> {
        let log = self.folder.console();
        let console = Console::new(&log);
        let before = log.metadata().map_or(0, |log| log.len());
        let resumed = || {
            let deadline = Instant::now() + self.patience;
            let failed = || VmError::io("the saved state");
            let shown = saved.console().map_err(failed())?;
            append(&log, &shown).map_err(VmError::io(log.display().to_string()))?;
            // QEMU takes as long to start as the file takes to read.
            let mut machine = std::thread::scope(|scope| {
                let verified = scope.spawn(|| saved.verify());
                let start = Start::Resume(saved.memory().as_fd());
                let machine = self.launch(hardware, start, &[], console, deadline)?;
                let verified = verified.join().unwrap_or_else(|_| {
                    Err(io::Error::other("the thread that verifies it panicked"))
                });
                verified.map_err(failed())?;
                Ok::<_, VmError>(machine)
            })?;
            machine.load(saved.stream().map_err(failed())?)?;
            machine.awake(&saved.about().wake)?;
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
        hardware: &Hardware,
        store: &Store,
        key: &Key,
    ) -> Result<Machine, VmError> {
        let drives = self.drives();
        // One by one: the guest names them in the order in which it finds them.
        let mut specs = drives.iter().map(Drive::spec);
        match specs.try_for_each(|drive| machine.plug(&drive)) {
            Ok(()) => return Ok(machine),
            Err(VmError::NotSeen { .. }) => drop(machine),
            Err(error) => return Err(error),
        }
        let reason = "its kernel does not find disks that are plugged in while it runs";
        let machine = self.boot_cold(hardware)?;
        self.note(format!("it boots cold: {reason}"));
        if let Err(error) = store.refuse(key, reason, self.about(hardware)) {
            self.note(format!("that is not remembered: {error}"));
        }
        Ok(machine)
    }

    fn about(&self, hardware: &Hardware) -> About {
        About {
            profile: self.profile_name.clone(),
            memory: hardware.memory.clone(),
            cpus: hardware.cpus,
            ..About::default()
        }
    }

    /// Boots without disks, saves the state, and plugs the disks in.
    fn boot_and_save(
        &mut self,
        hardware: &Hardware,
        store: &Store,
        key: &Key,
        slot: Slot,
    ) -> Result<Machine, VmError> {
        let memory = memfd_create("guest memory", MemfdFlags::CLOEXEC);
        let memory = memory.map_err(|error| VmError::io("the guest's memory")(error.into()))?;
        let memory = File::from(memory);
        match self.boot_with(hardware, Start::BootIn(memory.as_fd()), &[]) {
            Ok(mut machine) => {
                self.save(&mut machine, hardware, &memory, slot)?;
                self.plug_all(machine, hardware, store, key)
            }
            // It may be its disks that it misses.
            Err(VmError::Panicked { .. } | VmError::Deadline { .. })
                if !self.drives().is_empty() =>
            {
                let machine = self.boot_cold(hardware)?;
                let reason = "without its disks it does not boot";
                self.note(format!("it boots cold: {reason}"));
                if let Err(error) = slot.refuse(reason, self.about(hardware)) {
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
        hardware: &Hardware,
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
        let mut about = self.about(hardware);
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
