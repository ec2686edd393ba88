//! A VM from its creation to its end.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::arguments::{DriveSpec, MachineSpec};
use super::attach::close_record;
use super::folder::Folder;
use super::machine::Machine;
use super::mount_server::MountServer;
use super::{
    AttachOptions, Command, DiskRecord, Guest, Kvm, Limit, Process, RunResult, Terminal, VmError,
    kvm,
};
use crate::config::{Accel, Profile};

/// How long a guest may take to boot, unless a test says otherwise.
const BOOT: Duration = Duration::from_secs(60);

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not booted yet.
    Created,
    /// It runs.
    Booted,
    /// Its processors are stopped.
    Paused,
    /// It was shut down and may boot again.
    Shutdown,
    /// It panicked, QEMU ended, or it was closed.
    Dead,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Booted => "booted",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
            Self::Dead => "dead",
        }
    }
}

/// What one boot may change about the profile.
#[derive(Clone, Debug, Default)]
pub struct BootOptions {
    /// With a unit, as QEMU takes it.
    pub memory: Option<String>,
    /// How many virtual processors.
    pub cpus: Option<u32>,
    /// Added to the kernel's command line.
    pub kernel_cmdline: Option<String>,
    /// How long until the agent has to answer.
    pub agent_timeout: Option<Duration>,
    /// Written once the agent answers.
    pub files: Vec<BootFile>,
    /// Attached before the guest starts.
    pub disks: Vec<BootDisk>,
}

impl BootOptions {
    /// These, and what they leave open as `defaults` have it.
    fn or(self, defaults: &Self) -> Self {
        Self {
            memory: self.memory.or_else(|| defaults.memory.clone()),
            cpus: self.cpus.or(defaults.cpus),
            // Both are additions.
            kernel_cmdline: match (&defaults.kernel_cmdline, self.kernel_cmdline) {
                (Some(default), Some(own)) => Some(format!("{default} {own}")),
                (default, own) => own.or_else(|| default.clone()),
            },
            agent_timeout: self.agent_timeout.or(defaults.agent_timeout),
            files: match self.files.is_empty() {
                true => defaults.files.clone(),
                false => self.files,
            },
            disks: match self.disks.is_empty() {
                true => defaults.disks.clone(),
                false => self.disks,
            },
        }
    }
}

/// A file that a guest is to find.
#[derive(Clone, Debug)]
pub struct BootFile {
    /// In the guest.
    pub path: String,
    /// All that is in it.
    pub content: Vec<u8>,
    /// Its permission bits, if they matter.
    pub mode: Option<u32>,
}

/// A disk that a guest is to find.
#[derive(Clone, Debug)]
pub struct BootDisk {
    /// Its name; as [`attach_disk`](Vm::attach_disk) chooses it without one.
    pub id: Option<String>,
    /// What is on it.
    pub image: BootImage,
    /// Whether writing to it fails.
    pub read_only: bool,
}

/// Where the bytes of a boot disk come from.
#[derive(Clone, Debug)]
pub enum BootImage {
    /// An image of the host.
    Path(PathBuf),
    /// An empty one of this many bytes, which is removed with the VM.
    Scratch(u64),
}

/// A virtual machine. Its QEMU, its mount and its folder end with it.
///
/// Used by one thread, which lives as long as it: QEMU and the mount server die with that thread.
pub struct Vm {
    pub(super) name: String,
    profile_name: String,
    profile: Profile,
    defaults: BootOptions,
    limit: Limit,
    pub(super) state: State,
    // In the order in which they have to end: QEMU has files in the mount, which is in the folder.
    pub(super) machine: Option<Machine>,
    pub(super) disks: Vec<Rc<RefCell<DiskRecord>>>,
    /// None once the VM is closed.
    pub(super) server: Option<MountServer>,
    pub(super) folder: Folder,
    pub(super) drives: u32,
    patience: Duration,
}

impl Vm {
    /// A VM that is not booted. Boots are as `defaults` say, unless they say otherwise.
    pub fn create(
        name: &str,
        profile_name: &str,
        profile: Profile,
        defaults: BootOptions,
        limit: Limit,
    ) -> Result<Self, VmError> {
        let folder = Folder::create().map_err(VmError::io("the VM's run-time folder"))?;
        // From the beginning: should this process be killed, the server removes the folder.
        let server = MountServer::start(&folder.mount_point(), folder.path())?;
        Ok(Self {
            name: name.to_owned(),
            profile_name: profile_name.to_owned(),
            profile,
            defaults,
            limit,
            state: State::Created,
            machine: None,
            disks: Vec::new(),
            server: Some(server),
            folder,
            drives: 0,
            patience: BOOT,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its profile.
    pub fn profile(&self) -> &str {
        &self.profile_name
    }

    /// Where it is in its life.
    pub fn state(&mut self) -> State {
        self.note_power_off();
        self.state
    }

    /// A guest that powered itself down is shut down, as if it had been asked to.
    fn note_power_off(&mut self) {
        let is_running = matches!(self.state, State::Booted | State::Paused);
        let machine = self.machine.as_mut().filter(|_| is_running);
        if machine.is_some_and(Machine::has_powered_off) {
            self.machine = None;
            self.stopped(State::Shutdown);
        }
    }

    /// Its run-time folder: mount point, logs.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The file that its console is logged to.
    pub fn console_path(&self) -> std::path::PathBuf {
        self.folder.console()
    }

    /// All that its console has shown.
    pub fn console_log(&self) -> String {
        match &self.machine {
            Some(machine) => machine.console().all(),
            None => super::console::Console::new(&self.folder.console()).all(),
        }
    }

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
        let machine = self.start_machine(&guest, options);
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
            self.write_file(&file.path, &file.content)?;
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
            read_only: disk.read_only,
        };
        self.attach_disk(options).map(drop)
    }

    fn start_machine(&self, guest: &Guest, options: &BootOptions) -> Result<Machine, VmError> {
        let profile = &self.profile;
        let accel = match (profile.accel, kvm()) {
            (Accel::Auto, Kvm::Works) => Accel::Kvm,
            (Accel::Auto, _) => Accel::Tcg,
            (chosen, _) => chosen,
        };
        let records: Vec<_> = self.disks.iter().map(|disk| disk.borrow()).collect();
        let files: Vec<_> = records.iter().map(|disk| disk.path()).collect();
        let drives = records.iter().zip(&files).filter_map(|(disk, file)| {
            Some(DriveSpec {
                id: &disk.id,
                file: file.as_deref()?,
                read_only: disk.mounted()?.read_only,
                number: disk.mounted()?.number,
            })
        });
        let drives: Vec<_> = drives.collect();
        let console_log = self.folder.console();
        let spec = |sockets| MachineSpec {
            guest,
            memory: options.memory.as_deref().unwrap_or(&profile.memory),
            cpus: options.cpus.unwrap_or(profile.cpus),
            accel,
            disks: drives,
            console_log: &console_log,
            sockets,
        };
        Machine::boot(spec, &self.folder, &self.limit, self.patience)
    }

    /// Powers the guest down.
    pub fn shutdown(&mut self) -> Result<(), VmError> {
        self.running("vm:shutdown")?;
        if let Some(machine) = self.machine.take() {
            machine.shut_down();
        }
        self.stopped(State::Shutdown);
        Ok(())
    }

    /// Waits until the guest's console shows `text`; what it showed up to there is consumed.
    pub fn expect(&mut self, text: &str, patience: Duration) -> Result<(), VmError> {
        let expect = |machine: &mut Machine| machine.expect(text, patience);
        self.with_machine("console:expect", expect)
    }

    /// Types `text` into the guest's console.
    pub fn type_in(&mut self, text: &[u8]) -> Result<(), VmError> {
        self.with_machine("console:write", |machine| machine.type_in(text))
    }

    /// The guest's console as a terminal, while it runs.
    pub fn terminal(&self) -> Option<Terminal> {
        self.machine
            .as_ref()
            .map(|machine| machine.terminal().clone())
    }

    /// The guest's time: nanoseconds since 1970. `call` is who asks.
    pub fn time(&mut self, call: &'static str) -> Result<i64, VmError> {
        self.with_machine(call, Machine::time)
    }

    /// Sets the guest's time: nanoseconds since 1970. `call` is who asks.
    pub fn set_time(&mut self, call: &'static str, time: i64) -> Result<(), VmError> {
        self.with_machine(call, |machine| machine.set_time(time))
    }

    /// Stops the guest's processors, until [`resume`](Self::resume).
    pub fn pause(&mut self) -> Result<(), VmError> {
        self.with_machine("vm:pause", Machine::pause)?;
        self.state = State::Paused;
        Ok(())
    }

    /// Lets a paused guest go on.
    pub fn resume(&mut self) -> Result<(), VmError> {
        match (self.state, self.machine.as_mut()) {
            (State::Paused, Some(machine)) => machine.resume()?,
            _ => return Err(self.wrong_state("vm:resume", "paused")),
        }
        self.state = State::Booted;
        Ok(())
    }

    /// Presses the power button; it does not wait for what the guest makes of it.
    pub fn power_button(&mut self) -> Result<(), VmError> {
        self.with_machine("vm:power_button", Machine::power_button)
    }

    /// Presses the reset button; returns when the guest's agent answers again.
    pub fn reset(&mut self) -> Result<(), VmError> {
        let patience = self.patience;
        self.with_machine("vm:reset", |machine| machine.reset(patience))
    }

    /// Runs a command in the guest to its end.
    pub fn run(&mut self, command: &Command) -> Result<RunResult, VmError> {
        self.with_machine("vm:run", |machine| machine.run(command))
    }

    /// Starts a command in the guest.
    pub fn start(&mut self, command: &Command) -> Result<Process, VmError> {
        self.with_machine("vm:run_async", |machine| machine.start(command))
    }

    /// Waits for a process in the guest; kills it at its time-out.
    pub fn wait(
        &mut self,
        process: &mut Process,
        timeout: Option<Duration>,
    ) -> Result<RunResult, VmError> {
        self.with_machine("process:wait", |machine| machine.wait(process, timeout))
    }

    /// The result of a process in the guest, if it has ended.
    pub fn poll(&mut self, process: &mut Process) -> Result<Option<RunResult>, VmError> {
        self.with_machine("process:status", |machine| machine.poll(process))
    }

    /// Sends a signal to a process in the guest.
    pub fn kill(&mut self, process: &mut Process, signal: &str) -> Result<(), VmError> {
        self.with_machine("process:kill", |machine| machine.kill(process, signal))
    }

    /// Ends everything at once: QEMU is switched off, the mount goes.
    pub fn close(&mut self) {
        self.release_held();
        self.machine = None;
        self.stopped(State::Dead);
        for disk in self.disks.drain(..) {
            close_record(&disk);
        }
        self.server = None;
        self.folder.remove();
    }

    /// Lets go of every request that a fault holds: QEMU cannot end while it waits for one.
    fn release_held(&self) {
        if let Some(server) = &self.server {
            let _ = server.mount.clear();
        }
    }

    fn stopped(&mut self, state: State) {
        self.state = state;
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.plugged = false;
            }
        }
    }

    fn running(&mut self, call: &'static str) -> Result<&mut Machine, VmError> {
        self.note_power_off();
        let error = self.wrong_state(call, "booted");
        let is_booted = self.state == State::Booted;
        self.machine.as_mut().filter(|_| is_booted).ok_or(error)
    }

    pub(super) fn wrong_state(&self, call: &'static str, wanted: &'static str) -> VmError {
        VmError::WrongState {
            vm: self.name.clone(),
            call,
            state: self.state.name(),
            wanted,
        }
    }

    pub(super) fn with_machine<T>(
        &mut self,
        call: &'static str,
        action: impl FnOnce(&mut Machine) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        let result = action(self.running(call)?);
        if let Err(VmError::Exited { .. } | VmError::Panicked { .. }) = &result {
            self.stopped(State::Dead);
        }
        result
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.close();
    }
}
