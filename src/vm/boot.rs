//! Booting and resetting a VM. At a boot its disks are attached, its guest starts, and gets its files.

use std::rc::Rc;
use std::time::Instant;

use super::boot_options::BOOT;
use super::boot_plan::BootPlan;
use super::state::{Expected, State};
use super::{BootFile, BootOptions, Vm, VmError};
use crate::config::Firmware;

impl Vm {
    /// Starts it, with all disks that are attached, and waits for the guest's agent. The power of the disks returns
    /// first. A boot that fails leaves none of its own disks attached, unless a rule has cut the power.
    pub fn boot(&mut self, options: BootOptions) -> Result<(), VmError> {
        let may_boot = matches!(self.state(), State::Created | State::Shutdown);
        if !may_boot || self.server.is_none() {
            return Err(self.wrong_state(Expected::Bootable));
        }
        let options = &options.or(&self.defaults);
        // What is wrong with the profile is told before an image is converted, which may take long.
        let mut plan = BootPlan::new(&self.profile, &self.profile_name, options)?;
        if !self.profile.agent && !options.files.is_empty() {
            return Err(VmError::WithoutAgent(self.profile_name.clone()));
        }
        self.prepare_templates(&self.profile.disks)?;
        self.prepare_templates(&options.disks)?;
        let of_profile = self.profile.agent_timeout.map(|timeout| timeout.0);
        self.patience = options.agent_timeout.or(of_profile).unwrap_or(BOOT);
        plan.deadline = Instant::now() + self.patience;
        self.own_variables(&mut plan)?;
        self.watch.start(&self.mount()?)?;
        self.return_power()?;
        let before = self.disks.len();
        let booted = self
            .attach_boot_disks(&options.disks)
            .and_then(|()| self.start_up(&plan, &options.files));
        if let Some(cut) = self.cut_by_rule() {
            // It has booted that far: its disks stay.
            self.lose_power(Some(&cut));
            return Err(cut.into());
        }
        // While it knows the disks.
        let booted = booted.map_err(|error| self.explain_boot(error));
        if booted.is_err() {
            self.machine = None;
            self.detach_since(before);
            self.leave_images();
        }
        booted
    }

    /// The error of a boot, with what it may have to do with the profile.
    fn explain_boot(&self, error: VmError) -> VmError {
        let profile = &self.profile_name;
        match error {
            VmError::PoweredOff { console } => VmError::PoweredOffEarly {
                profile: profile.clone(),
                console,
            },
            VmError::Exited {
                program,
                status,
                when,
                log,
            } => {
                let words = self.profile.machine_words();
                let log = match words.is_empty() {
                    true => log,
                    false => format!("{log}\nprofile `{profile}` has {}", words.join(", ")),
                };
                VmError::Exited {
                    program,
                    status,
                    when,
                    log,
                }
            }
            VmError::PausedInBoot(error) => VmError::PausedInBoot(self.named(error)),
            error => error,
        }
    }

    /// Presses the reset button; returns when the guest's agent answers again.
    pub fn reset(&mut self) -> Result<(), VmError> {
        let patience = self.patience;
        let deadline = Instant::now() + patience;
        self.with_machine(|machine| machine.reset(deadline, patience))?;
        let Some(mut machine) = self.machine.take() else {
            return Ok(());
        };
        let seen = self.await_disks(&mut machine, deadline);
        self.machine = Some(machine);
        self.judged(seen)
    }

    /// Starts the machine, and gives the guest its files.
    fn start_up(&mut self, plan: &BootPlan, files: &[BootFile]) -> Result<(), VmError> {
        if plan.guest.is_none() && self.disks.with_image() == 0 {
            return Err(VmError::NothingToBoot(self.profile_name.clone()));
        }
        self.state = State::Dead;
        self.powered_off = false;
        self.ended_console = None;
        self.disks.claim_images(&self.name)?;
        self.disks.assign_ports();
        self.plan = Some(Rc::new(plan.clone()));
        let machine = match plan.is_cold {
            true => self.boot_cold(plan),
            false => self.boot_warm(plan),
        };
        self.machine = Some(machine?);
        self.state = State::Booted;
        self.disks.set_plugged(true);
        let written = files.iter().try_for_each(|file| self.give_file(file));
        if written.is_err() {
            self.stopped(State::Dead);
        }
        written
    }

    /// Gives the VM a copy of its firmware's variables.
    fn own_variables(&self, plan: &mut BootPlan) -> Result<(), VmError> {
        if let Some(Firmware::Flash {
            vars: Some(vars), ..
        }) = &mut plan.firmware
        {
            *vars = self.folder.firmware_variables(vars)?;
        }
        Ok(())
    }

    fn give_file(&mut self, file: &BootFile) -> Result<(), VmError> {
        self.write_file_with_parents(&file.path, &file.content)?;
        match file.mode {
            Some(mode) => self.chmod(&file.path, mode),
            None => Ok(()),
        }
    }
}
