//! The power of a VM: cutting it, finding it cut by a rule, and returning it. A cut comes first; then QEMU is killed,
//! because each of its own ends flushes the disks.

use std::time::{Duration, Instant};

use super::disks::list::SharedDisk;
use super::power_loss::{CutReports, PowerLoss, RuleCut};
use super::state::Expected;
use super::{Vm, VmError};
use crate::client::{ClientError, DiskControl, MountClient};
use crate::protocol::{CutReport, PowerCommand, PowerCut, PowerState};

/// Between two looks at a guest whose power a rule may cut.
const TICK: Duration = Duration::from_millis(20);

impl Vm {
    /// Cuts the power of `disks` one after the other, or of all disks at one instant, then ends QEMU. Disks that are not
    /// among `disks` keep what they have.
    pub fn power_cut(
        &mut self,
        cut: &PowerCut,
        disks: Option<&[SharedDisk]>,
    ) -> Result<CutReports, VmError> {
        self.check()?;
        if !self.is_running() {
            return Err(self.wrong_state(Expected::Running));
        }
        let mount = self.mount()?;
        let before = mount.power()?;
        let done = match disks {
            None => cut_all(&mount, &before, cut),
            Some(disks) => cut_each(disks, cut),
        };
        if let Some(cut) = self.cut_by_rule() {
            self.lose_power(Some(&cut));
            return Err(cut.into());
        }
        if let Err(error) = done {
            // The power may be off all the same: what survives could not be written.
            if mount.power()? != before {
                self.lose_power(None);
            }
            return Err(error.into());
        }
        let mut reports = self.lose_power(None);
        if let Some(disks) = disks {
            reports.retain(|(id, _)| disks.iter().any(|disk| disk.borrow().id() == id));
        }
        Ok(reports)
    }

    /// Waits up to `patience` until a rule has cut the power.
    pub fn wait_power_cut(&mut self, patience: Duration) -> Result<CutReports, VmError> {
        let deadline = Instant::now() + patience;
        loop {
            self.check()?;
            if let Some(loss) = &self.power_loss {
                return Ok(loss.disks.clone());
            }
            if !self.is_running() {
                return Err(self.wrong_state(Expected::Running));
            }
            self.limit.check()?;
            if Instant::now() >= deadline {
                return Err(VmError::NoPowerCut(patience));
            }
            self.watch.wait(self.limit.cut(TICK));
        }
    }

    /// Sets a mark in the traces and the write logs of all disks.
    pub fn mark(&self, text: &str) -> Result<(), VmError> {
        Ok(self.mount()?.mark(text)?)
    }

    /// A guest whose power a rule has cut is over.
    pub(super) fn note_power_cut(&mut self) {
        if self.is_running()
            && let Some(cut) = self.watch.cut()
        {
            self.lose_power(Some(&cut));
        }
    }

    /// The rule that has cut the power of the present run, or of one that has just ended. A request that the cut has
    /// failed may be answered before its event is read.
    pub(super) fn cut_by_rule(&self) -> Option<RuleCut> {
        if let Some(server) = &self.server {
            self.watch
                .catch_up(&server.mount.power().unwrap_or_default());
        }
        self.watch.cut()
    }

    /// Ends QEMU, as the power of its disks is off; returns what the cut has done to these.
    pub(super) fn lose_power(&mut self, cut: Option<&RuleCut>) -> CutReports {
        let power = self.mount().and_then(|mount| Ok(mount.power()?));
        let disks: CutReports = power
            .unwrap_or_default()
            .into_iter()
            .filter_map(was_cut)
            .collect();
        self.machine = None;
        self.power_loss = Some(PowerLoss {
            rule: cut.map(|RuleCut(rule)| rule.clone()),
            disks: disks.clone(),
        });
        self.has_shut_down();
        disks
    }

    /// Switches the power of all disks on.
    pub(super) fn return_power(&mut self) -> Result<(), VmError> {
        let mount = self.mount()?;
        for (id, _) in mount.power()?.into_iter().filter_map(was_cut) {
            mount.disk(&id)?.switch_power(&PowerCommand::On)?;
        }
        self.power_loss = None;
        Ok(())
    }
}

/// Cuts the power of a disk, and returns it at once.
pub fn cut_and_return(disk: &DiskControl, cut: &PowerCut) -> Result<CutReport, ClientError> {
    disk.switch_power(&PowerCommand::Cut(cut.clone()))?;
    let power = disk.power();
    disk.switch_power(&PowerCommand::On)?;
    match power? {
        PowerState::Off(report) => Ok(report),
        PowerState::On => Err(ClientError::Rejected(format!(
            "somebody else has switched the power of disk `{}` on",
            disk.id()
        ))),
    }
}

fn was_cut((id, power): (String, PowerState)) -> Option<(String, CutReport)> {
    match power {
        PowerState::Off(report) => Some((id, report)),
        PowerState::On => None,
    }
}

/// Cuts the power of all disks at one instant. Where there is none, and where all are off, there is nothing to cut.
fn cut_all(
    mount: &MountClient,
    power: &[(String, PowerState)],
    cut: &PowerCut,
) -> Result<(), ClientError> {
    match power.iter().any(|(_, power)| *power == PowerState::On) {
        true => mount.switch_power(&PowerCommand::Cut(cut.clone())),
        false => Ok(()),
    }
}

/// Cuts the power of each disk. If one of them cannot be cut, the power of the others returns.
fn cut_each(disks: &[SharedDisk], cut: &PowerCut) -> Result<(), ClientError> {
    let mut done: Vec<DiskControl> = Vec::new();
    for disk in disks {
        let disk = disk.borrow();
        let Some(control) = disk.control() else {
            continue;
        };
        if done.iter().any(|other| other.id() == control.id()) {
            continue;
        }
        if let Err(error) = control.switch_power(&PowerCommand::Cut(cut.clone())) {
            for control in done {
                let _ = control.switch_power(&PowerCommand::On);
            }
            return Err(error);
        }
        done.push(control.clone());
    }
    Ok(())
}
