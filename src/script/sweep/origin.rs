//! Where a sweep goes back to: a snapshot of a guest that runs, or checkpoints of the disks of one that does not.

use crate::client::DiskControl;
use crate::protocol::PowerCut;
use crate::script::bind::CallResult;
use crate::script::context::SharedVm;
use crate::sweep::TAG;
use crate::vm::{Checkpoints, RestoreClock, State, Vm, VmSnapshot};

/// A moment of a VM.
pub(super) enum Origin {
    /// Its guest ran.
    Guest(Box<VmSnapshot>),
    /// It had its disks alone.
    Disks(Checkpoints),
}

impl Origin {
    /// This moment of `vm`, one of whose disks is `disk`.
    pub(super) fn save(vm: &SharedVm, disk: &DiskControl) -> CallResult<Self> {
        let mut vm = vm.borrow_mut();
        Ok(match vm.state() {
            State::Booted | State::Paused => Self::Guest(Box::new(vm.snapshot()?)),
            State::Created | State::Shutdown | State::Dead => {
                Self::Disks(Checkpoints::save(disk.mount(), TAG.to_owned())?)
            }
        })
    }

    /// Whether a guest ran.
    pub(super) fn has_guest(&self) -> bool {
        matches!(self, Self::Guest(_))
    }

    /// Makes the VM what it was.
    pub(super) fn restore(&self, vm: &SharedVm) -> CallResult<()> {
        let mut vm = vm.borrow_mut();
        match self {
            Self::Guest(snapshot) => Ok(vm.restore(snapshot, RestoreClock::Now)?),
            Self::Disks(checkpoints) => {
                switch_off(&mut vm)?;
                Ok(checkpoints.restore()?)
            }
        }
    }
}

/// Ends a guest without a word to it: what it has not flushed is lost.
pub(super) fn switch_off(vm: &mut Vm) -> CallResult<()> {
    match vm.state() {
        State::Booted | State::Paused => vm.power_cut(&PowerCut::default(), None).map(drop)?,
        State::Created | State::Shutdown | State::Dead => {}
    }
    vm.take_notes();
    Ok(())
}
