//! A VM from its creation to its end.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::disks::attach::close_record;
use super::disks::mount_server::MountServer;
use super::folder::Folder;
use super::guest::console::Console;
use super::machine::Machine;
use super::{BootOptions, Command, DiskRecord, Limit, Process, RunResult, Terminal, VmError};
use crate::client::MountClient;
use crate::config::{BootDisk, Profile};

/// How long a guest may take to boot, unless a test says otherwise.
pub(super) const BOOT: Duration = Duration::from_secs(60);

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not booted yet.
    Created,
    /// It runs.
    Booted,
    /// Its processors are stopped.
    Paused,
    /// It was shut down, or its guest powered itself off: it may boot again. Or it was closed.
    Shutdown,
    /// It did not boot, it panicked, or QEMU ended.
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

/// A virtual machine. Its QEMU, its mount and its folder end with it.
///
/// Used by one thread, which lives as long as it: QEMU and the mount server die with that thread.
pub struct Vm {
    pub(super) name: String,
    pub(super) profile_name: String,
    pub(super) profile: Profile,
    pub(super) defaults: BootOptions,
    pub(super) limit: Limit,
    pub(super) state: State,
    // In the order in which they have to end: QEMU has files in the mount, which is in the folder.
    pub(super) machine: Option<Machine>,
    pub(super) disks: Vec<Rc<RefCell<DiskRecord>>>,
    /// None once the VM is closed.
    pub(super) server: Option<MountServer>,
    pub(super) folder: Folder,
    pub(super) drives: u32,
    pub(super) patience: Duration,
    /// What those who read the log should know.
    pub(super) notes: Vec<String>,
    /// Why the guest is over, while nobody was told.
    pub(super) untold: Option<VmError>,
    /// The guest powered itself off since it was booted last.
    pub(super) powered_off: bool,
    /// What boots have attached by now, with their names.
    pub(super) boot_disks: Vec<(BootDisk, String)>,
    /// What the console has shown, once the VM is closed.
    pub(super) last_log: Option<File>,
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
            notes: Vec::new(),
            untold: None,
            powered_off: false,
            boot_disks: Vec::new(),
            last_log: None,
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
        self.note_end();
        self.state
    }

    /// Fails, once, when the guest is over and nobody was told: its kernel panicked, or QEMU is gone.
    pub fn check(&mut self) -> Result<(), VmError> {
        self.state();
        self.untold.take().map_or(Ok(()), Err)
    }

    fn note_end(&mut self) {
        let is_running = matches!(self.state, State::Booted | State::Paused);
        let machine = self.machine.as_mut().filter(|_| is_running);
        let checked = machine.map_or(Ok(()), |machine| machine.health.check());
        if let Err(error @ (VmError::Exited { .. } | VmError::Panicked { .. })) = checked {
            self.stopped(State::Dead);
            self.untold = Some(error);
        }
    }

    /// A guest that powered itself down is shut down, as if it had been asked to.
    fn note_power_off(&mut self) {
        let is_running = matches!(self.state, State::Booted | State::Paused);
        let machine = self.machine.as_mut().filter(|_| is_running);
        if machine.is_some_and(Machine::has_powered_off) {
            self.powered_off();
        }
    }

    fn powered_off(&mut self) {
        self.machine = None;
        self.powered_off = true;
        self.stopped(State::Shutdown);
        self.leave_images();
    }

    /// What happened that those who read the log should know, since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
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
        let path = match &self.last_log {
            Some(log) => format!("/proc/self/fd/{}", log.as_raw_fd()).into(),
            None => self.folder.console(),
        };
        Console::new(&path).all()
    }

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
        self.stopped(State::Shutdown);
        self.leave_images();
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
        let deadline = Instant::now() + patience;
        self.with_machine("vm:reset", |machine| machine.reset(deadline, patience))?;
        let Some(mut machine) = self.machine.take() else {
            return Ok(());
        };
        let seen = self.await_disks(&mut machine, deadline);
        self.machine = Some(machine);
        self.with_machine("vm:reset", |_| seen)
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
        self.machine = None;
        self.stopped(State::Shutdown);
        if self.last_log.is_none() {
            self.last_log = File::open(self.folder.console()).ok();
        }
        for disk in self.disks.drain(..) {
            close_record(&disk);
        }
        self.server = None;
        self.folder.remove();
    }

    /// Its mount; there is none once it was closed.
    pub(super) fn mount(&self) -> Result<MountClient, VmError> {
        let server = self.server.as_ref();
        let mount = server.map(|server| server.mount.clone());
        mount.ok_or_else(|| self.wrong_state("vm:attach_disk", "not closed"))
    }

    pub(super) fn stopped(&mut self, state: State) {
        self.state = state;
        for disk in &self.disks {
            if let Some(mounted) = disk.borrow_mut().mounted_mut() {
                mounted.plugged = false;
            }
        }
    }

    fn running(&mut self, call: &'static str) -> Result<&mut Machine, VmError> {
        self.check()?;
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
            hint: self.hint(call),
        }
    }

    /// What to know about the state in which a call came at the wrong time.
    fn hint(&self, call: &str) -> String {
        match self.state {
            State::Booted => " (already booted)".into(),
            State::Paused if call == "vm:boot" => " (already booted: use resume())".into(),
            State::Paused => " (not booted but paused: use resume())".into(),
            _ if self.server.is_none() => " (not booted: it was closed)".into(),
            State::Shutdown if self.powered_off => {
                let console = super::console_end(&self.folder.console());
                format!(" (not booted: its guest powered itself off)\n{console}")
            }
            _ => " (not booted)".into(),
        }
    }

    pub(super) fn with_machine<T>(
        &mut self,
        call: &'static str,
        action: impl FnOnce(&mut Machine) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        let result = action(self.running(call)?);
        if let Err(VmError::Exited { .. } | VmError::Panicked { .. }) = &result {
            if self.machine.as_mut().is_some_and(Machine::has_powered_off) {
                self.powered_off();
                let console = super::console_end(&self.folder.console());
                return Err(VmError::PoweredOff { console });
            }
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
