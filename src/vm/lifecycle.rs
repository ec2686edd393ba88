//! A VM from its creation to its end.

use std::cell::RefCell;
use std::process::Child;
use std::rc::Rc;
use std::time::Duration;

use super::arguments::{DriveSpec, MachineSpec};
use super::disk::{Backing, Mounted, check_image};
use super::folder::Folder;
use super::machine::Machine;
use super::{
    AttachOptions, Command, DEFAULT_DISK_SIZE, DiskRecord, Guest, Kvm, Limit, Process, RunResult,
    VmError, kvm,
};
use crate::client::MountClient;
use crate::config::{Accel, Profile};
use crate::fault::FaultSet;
use crate::launch::{self, Lifetime};
use crate::sys;

/// How long a guest may take to boot, unless a test says otherwise.
const BOOT: Duration = Duration::from_secs(60);
/// How long a mount server may take to end.
const SERVER_END: Duration = Duration::from_secs(10);

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not booted yet.
    Created,
    /// It runs.
    Booted,
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
}

/// A virtual machine. Its QEMU, its mount and its folder end with it.
///
/// Used by one thread, which lives as long as it: QEMU and the mount server die with that thread.
pub struct Vm {
    name: String,
    profile_name: String,
    profile: Profile,
    limit: Limit,
    state: State,
    // In the order in which they have to end: QEMU has files in the mount, which is in the folder.
    machine: Option<Machine>,
    disks: Vec<Rc<RefCell<DiskRecord>>>,
    server: Option<MountServer>,
    folder: Folder,
    drives: u32,
    patience: Duration,
}

/// The mount of a VM; its server is told to end when this is dropped.
struct MountServer {
    process: Child,
    mount: MountClient,
}

impl Drop for MountServer {
    fn drop(&mut self) {
        if let Ok(server) = sys::Process::open(self.process.id()) {
            let _ = server.signal(libc::SIGTERM);
            if !server.wait(SERVER_END).unwrap_or(false) {
                let _ = self.process.kill();
            }
        }
        let _ = self.process.wait();
    }
}

impl Vm {
    /// A VM that is not booted.
    pub fn create(
        name: &str,
        profile_name: &str,
        profile: Profile,
        limit: Limit,
    ) -> Result<Self, VmError> {
        Ok(Self {
            name: name.to_owned(),
            profile_name: profile_name.to_owned(),
            profile,
            limit,
            state: State::Created,
            machine: None,
            disks: Vec::new(),
            server: None,
            folder: Folder::create().map_err(VmError::io("the VM's run-time folder"))?,
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
    pub fn state(&self) -> State {
        self.state
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
    pub fn boot(&mut self, options: &BootOptions) -> Result<(), VmError> {
        if !matches!(self.state, State::Created | State::Shutdown) {
            return Err(self.wrong_state("vm:boot", "created or shutdown"));
        }
        let mut guest = Guest::of(&self.profile, &self.profile_name)?;
        if let Some(added) = &options.kernel_cmdline {
            guest.cmdline = format!("{} {added}", guest.cmdline);
        }
        self.patience = options.agent_timeout.unwrap_or(BOOT);
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
        Ok(())
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
                read_only: false,
                number: disk.mounted()?.number,
            })
        });
        let drives: Vec<_> = drives.collect();
        let console = self.folder.console();
        let spec = |qmp_fd, agent_fd| MachineSpec {
            guest,
            memory: options.memory.as_deref().unwrap_or(&profile.memory),
            cpus: options.cpus.unwrap_or(profile.cpus),
            accel,
            disks: drives,
            console: &console,
            qmp_fd,
            agent_fd,
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
        if self.machine.is_none() || self.state != State::Booted {
            return Err(self.wrong_state(call, "booted"));
        }
        self.machine.as_mut().ok_or(VmError::TimeIsUp)
    }

    fn wrong_state(&self, call: &'static str, wanted: &'static str) -> VmError {
        VmError::WrongState {
            vm: self.name.clone(),
            call,
            state: self.state.name(),
            wanted,
        }
    }

    fn with_machine<T>(
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

    /// The disk called `id`.
    pub fn disk(&self, id: &str) -> Option<Rc<RefCell<DiskRecord>>> {
        let mut disks = self.disks.iter();
        disks.find(|disk| disk.borrow().id == id).cloned()
    }

    /// Attaches a disk: in the mount at once, in the guest at once if it runs.
    pub fn attach_disk(
        &mut self,
        options: AttachOptions,
    ) -> Result<Rc<RefCell<DiskRecord>>, VmError> {
        if self.state == State::Dead {
            return Err(self.wrong_state("vm:attach_disk", "created, booted or shutdown"));
        }
        let id = options
            .id
            .unwrap_or_else(|| format!("attached-{}", self.name));
        if self.disk(&id).is_some() {
            return Err(VmError::DuplicateDisk {
                id,
                vm: self.name.clone(),
            });
        }
        let backing = match options.image {
            Some(image) => Backing::Mount(self.mount_disk(&id, &check_image(&image)?)?),
            None => Backing::None(FaultSet::default()),
        };
        let mut record = DiskRecord {
            id,
            size: options.size.unwrap_or(DEFAULT_DISK_SIZE),
            detached: false,
            backing,
        };
        if let Err(error) = self.plug(&mut record) {
            self.unmount_disk(&record.id);
            return Err(error);
        }
        let record = Rc::new(RefCell::new(record));
        self.disks.push(Rc::clone(&record));
        Ok(record)
    }

    fn mount_disk(&mut self, id: &str, image: &std::path::Path) -> Result<Mounted, VmError> {
        let mount = self.mount()?.clone();
        mount.attach(id, image, false)?;
        self.drives += 1;
        Ok(Mounted {
            control: mount.disk(id)?,
            data: None,
            number: self.drives,
            plugged: false,
        })
    }

    /// The VM's mount, started when it is first needed.
    fn mount(&mut self) -> Result<&MountClient, VmError> {
        if self.server.is_none() {
            let point = self.folder.mount_point();
            let scratch = self.folder.path().to_owned();
            let process = launch::start(&point, &[], &[], &Lifetime::WithCaller { scratch })?;
            let mount = MountClient::open(&point)?;
            self.server = Some(MountServer { process, mount });
        }
        let server = self.server.as_ref();
        server.map(|server| &server.mount).ok_or(VmError::TimeIsUp)
    }

    fn plug(&mut self, record: &mut DiskRecord) -> Result<(), VmError> {
        let (State::Booted, Some(machine)) = (self.state, self.machine.as_mut()) else {
            return Ok(());
        };
        let id = record.id.clone();
        let Some(mounted) = record.mounted_mut() else {
            return Ok(());
        };
        machine.plug(&DriveSpec {
            id: &id,
            file: &mounted.control.path(),
            read_only: false,
            number: mounted.number,
        })?;
        mounted.plugged = true;
        Ok(())
    }

    fn unmount_disk(&self, id: &str) {
        if let Some(server) = &self.server {
            let _ = server.mount.detach(id);
        }
    }

    /// Takes the disk out of the guest and out of the mount, as far as they let it go. The record
    /// is detached in any case.
    pub fn detach_disk(&mut self, record: &Rc<RefCell<DiskRecord>>) {
        let Some(at) = self.disks.iter().position(|disk| Rc::ptr_eq(disk, record)) else {
            return;
        };
        self.disks.remove(at);
        let id = record.borrow().id.clone();
        // A guest that waits for a held request would not let go of the disk.
        let _ = record.borrow_mut().clear_faults();
        let drive = record
            .borrow()
            .mounted()
            .filter(|m| m.plugged)
            .map(|m| m.number);
        if let (Some(number), Some(machine)) = (drive, self.machine.as_mut()) {
            let _ = machine.unplug(&id, number);
        }
        if let Ok(size) = { record.borrow().size() } {
            record.borrow_mut().size = size;
        }
        close_record(record);
        if record.borrow().has_image() {
            self.unmount_disk(&id);
        }
    }
}

/// Closes our own file on the disk and tells every handle that it is over.
fn close_record(record: &Rc<RefCell<DiskRecord>>) {
    let mut record = record.borrow_mut();
    record.detached = true;
    if let Some(mounted) = record.mounted_mut() {
        mounted.data = None;
        mounted.plugged = false;
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.close();
    }
}
