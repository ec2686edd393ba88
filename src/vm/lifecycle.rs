//! A VM from its creation to its end: its state, and all that belongs to it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::boot_options::{BOOT, BootOptions};
use super::boot_plan::BootPlan;
use super::disks::list::Disks;
use super::disks::mount_server::MountServer;
use super::disks::replay::ReplayOf;
use super::folder::Folder;
use super::guest::console::{Console, end_of};
use super::guest::kernel_version::kernel_version;
use super::machine::Machine;
use super::power_loss::PowerLoss;
use super::power_watch::PowerWatch;
use super::snapshot::Past;
use super::state::{Expected, State};
use super::{Guest, Limit, VmError};
use crate::client::{DiskControl, MountClient};
use crate::config::{Profile, VmDisk};

/// Is told of each disk of a VM when its mount begins to serve it.
pub type OnNewDisk = Box<dyn Fn(&DiskControl)>;

/// A virtual machine. Its QEMU, its mount and its folder end with it.
///
/// Used by one thread, which lives as long as it: QEMU and the mount server die with that thread.
pub struct Vm {
    /// Tells it from all others of this process.
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) profile_name: String,
    pub(super) profile: Profile,
    pub(super) defaults: BootOptions,
    pub(super) limit: Limit,
    pub(super) state: State,
    // In the order in which they have to end: QEMU has files in the mount, which is in the folder.
    pub(super) machine: Option<Machine>,
    /// What the present QEMU, or the latest one, was started with.
    pub(super) plan: Option<Rc<BootPlan>>,
    /// What its guest knows of.
    pub(super) past: Past,
    pub(super) disks: Disks,
    /// None once the VM is closed.
    pub(super) server: Option<MountServer>,
    pub(super) folder: Folder,
    pub(super) patience: Duration,
    /// Remarks for the log.
    pub(super) notes: Vec<String>,
    /// Why the guest is over, until a call has reported it.
    pub(super) untold: Option<VmError>,
    /// The guest powered itself off since it was booted last.
    pub(super) powered_off: bool,
    /// The power cut that has ended the guest since it was booted last.
    pub(super) power_loss: Option<PowerLoss>,
    pub(super) watch: PowerWatch,
    /// Whether the disks of the profile were attached.
    pub(super) has_own_disks: bool,
    /// The disks that boots have attached by now, with their names.
    pub(super) boot_disks: Vec<(VmDisk, String)>,
    /// The console of the latest guest, once its machine has ended by itself.
    pub(super) ended_console: Option<Console>,
    /// The console's log, once the VM is closed.
    pub(super) last_log: Option<File>,
    pub(super) on_new_disk: Option<OnNewDisk>,
    pub(super) replay_of: Option<ReplayOf>,
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
        static LAST: AtomicU64 = AtomicU64::new(0);
        let folder = Folder::create().map_err(VmError::io("the VM's run-time folder"))?;
        // From the beginning: should this process be killed, the server removes the folder.
        let server = MountServer::start(&folder.mount_point(), folder.path())?;
        Ok(Self {
            number: LAST.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            profile_name: profile_name.to_owned(),
            profile,
            defaults,
            limit,
            state: State::Created,
            machine: None,
            plan: None,
            past: Past::default(),
            disks: Disks::default(),
            server: Some(server),
            folder,
            patience: BOOT,
            notes: Vec::new(),
            untold: None,
            powered_off: false,
            power_loss: None,
            watch: PowerWatch::default(),
            has_own_disks: false,
            boot_disks: Vec::new(),
            ended_console: None,
            last_log: None,
            on_new_disk: None,
            replay_of: None,
        })
    }

    /// Has `tell` hear of each disk that the VM's mount will serve, before anybody opens it.
    pub fn on_new_disk(&mut self, tell: OnNewDisk) {
        self.on_new_disk = Some(tell);
    }

    /// Has `replay_of` say which recorded faults its disks meet in the place of those of their rules.
    pub fn replay(&mut self, replay_of: ReplayOf) {
        self.replay_of = Some(replay_of);
    }

    /// The versions of what it is made of, by name: those of QEMU and of the guest's kernel, as far as they are known.
    pub fn versions(&self) -> Vec<(String, String)> {
        let qemu = self.machine.as_ref().map(Machine::version);
        let ours = || {
            let folder = Guest::folder(self.profile.built_in_guest()).ok()?;
            Some(folder.join("vmlinuz"))
        };
        let kernel = match self.profile.boots_a_disk() {
            true => None,
            false => self.profile.kernel.clone().or_else(ours),
        };
        let kernel = kernel.and_then(|file| kernel_version(&file));
        let named = [("qemu", qemu), ("kernel", kernel)].into_iter();
        let known = named.filter_map(|(name, version)| Some((name.to_owned(), version?)));
        known.collect()
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
        self.note_power_cut();
        self.note_end();
        self.state
    }

    /// Fails, once, when the guest is over and no call has reported it: its kernel panicked, or QEMU is gone.
    pub fn check(&mut self) -> Result<(), VmError> {
        self.state();
        self.untold.take().map_or(Ok(()), Err)
    }

    /// Whether its guest runs, or is paused.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Booted | State::Paused)
    }

    fn note_end(&mut self) {
        let is_running = self.is_running();
        let machine = self.machine.as_mut().filter(|_| is_running);
        match machine.map_or(Ok(()), |machine| machine.health.check()) {
            Err(VmError::PoweredOff { .. }) => self.powered_off(),
            Err(error @ (VmError::Exited { .. } | VmError::Panicked { .. })) => {
                self.stopped(State::Dead);
                self.untold = Some(error);
            }
            _ => {}
        }
    }

    /// A guest that powered itself down is shut down, as if it had been asked to.
    fn powered_off(&mut self) {
        self.ended_console = self.machine.take().map(Machine::into_console);
        self.powered_off = true;
        self.has_shut_down();
    }

    /// Notes that the guest is shut down. The images of its disks are free for others.
    pub(super) fn has_shut_down(&mut self) {
        self.stopped(State::Shutdown);
        self.leave_images();
    }

    /// Leaves the images of the disks to others, until a boot, or until somebody opens a disk.
    pub(super) fn leave_images(&mut self) {
        for text in self.disks.leave_images() {
            self.note(text);
        }
    }

    pub(super) fn note(&mut self, text: impl std::fmt::Display) {
        self.notes.push(format!("vm `{}`: {text}", self.name));
    }

    /// The remarks for the log since the last call.
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

    /// Ends everything at once: QEMU is switched off, the mount goes.
    pub fn close(&mut self) {
        self.machine = None;
        self.stopped(State::Shutdown);
        if self.last_log.is_none() {
            self.last_log = File::open(self.folder.console()).ok();
        }
        self.disks.close();
        self.server = None;
        self.folder.remove();
    }

    /// Its mount; there is none once it was closed.
    pub(super) fn mount(&self) -> Result<MountClient, VmError> {
        let server = self.server.as_ref();
        let mount = server.map(|server| server.mount.clone());
        mount.ok_or_else(|| self.wrong_state(Expected::Open))
    }

    pub(super) fn stopped(&mut self, state: State) {
        self.state = state;
        self.disks.set_plugged(false);
    }

    fn running(&mut self) -> Result<&mut Machine, VmError> {
        self.check()?;
        let error = self.wrong_state(Expected::Booted);
        let is_booted = self.state == State::Booted;
        self.machine.as_mut().filter(|_| is_booted).ok_or(error)
    }

    pub(super) fn wrong_state(&self, expected: Expected) -> VmError {
        VmError::WrongState {
            vm: self.name.clone(),
            state: self.state,
            expected,
            hint: self.hint(expected),
        }
    }

    /// A remark about the state when another one was expected.
    fn hint(&self, expected: Expected) -> String {
        match self.state {
            State::Booted => " (already booted)".into(),
            State::Paused if expected == Expected::Bootable => {
                " (already booted: use resume())".into()
            }
            State::Paused => " (not booted but paused: use resume())".into(),
            _ if self.server.is_none() => " (not booted: it was closed)".into(),
            State::Shutdown if self.powered_off => {
                let console = end_of(&self.folder.console());
                format!(" (not booted: its guest powered itself off)\n{console}")
            }
            _ => match &self.power_loss {
                Some(loss) => loss.hint(),
                None => " (not booted)".into(),
            },
        }
    }

    pub(super) fn with_machine<T>(
        &mut self,
        action: impl FnOnce(&mut Machine) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        let result = action(self.running()?);
        self.judged(result)
    }

    /// The result of something that was done with the machine, unless the guest is over: then the reason.
    pub(super) fn judged<T>(&mut self, result: Result<T, VmError>) -> Result<T, VmError> {
        if let Some(cut) = self.cut_by_rule() {
            self.lose_power(Some(&cut));
            return Err(cut.into());
        }
        match &result {
            Err(VmError::PoweredOff { .. }) => self.powered_off(),
            Err(VmError::Exited { .. } | VmError::Panicked { .. }) => self.stopped(State::Dead),
            _ => {}
        }
        result.map_err(|error| self.explained(error))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.close();
    }
}
