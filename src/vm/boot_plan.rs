//! What a boot makes of a profile and its options, disks apart.

use std::time::Instant;

use super::qemu::accel::{Kvm, kvm};
use super::qemu::arguments::{MachineSpec, Sockets, Start};
use super::qemu::drive::Drive;
use super::{BootOptions, Guest, VmError};
use crate::config::{Accel, Profile};

/// A boot that is to come.
pub(super) struct BootPlan {
    pub(super) guest: Guest,
    /// With a unit, as QEMU takes it.
    pub(super) memory: String,
    pub(super) cpus: u32,
    /// KVM or TCG.
    pub(super) accel: Accel,
    /// Whether its kernel boots, even where a saved state could go on.
    pub(super) is_cold: bool,
    /// When the guest has to be there, however it is tried.
    pub(super) deadline: Instant,
}

impl BootPlan {
    /// What `options` make of `profile`, called `name`; every file of it exists.
    pub(super) fn new(
        profile: &Profile,
        name: &str,
        options: &BootOptions,
        deadline: Instant,
    ) -> Result<Self, VmError> {
        let mut guest = Guest::of(profile, name)?;
        if let Some(added) = &options.kernel_cmdline {
            guest.cmdline = format!("{} {added}", guest.cmdline);
        }
        let memory = options.memory.as_ref().unwrap_or(&profile.memory);
        Ok(Self {
            guest,
            memory: memory.clone(),
            cpus: options.cpus.unwrap_or(profile.cpus),
            accel: match (profile.accel, kvm()) {
                (Accel::Auto, Kvm::Works) => Accel::Kvm,
                (Accel::Auto, _) => Accel::Tcg,
                (chosen, _) => chosen,
            },
            is_cold: profile.cold || options.cold == Some(true),
            deadline,
        })
    }

    /// The machine that it starts.
    pub(super) fn spec<'a>(
        &'a self,
        start: Start<'a>,
        sockets: Sockets,
        drives: &'a [Drive],
    ) -> MachineSpec<'a> {
        MachineSpec {
            guest: &self.guest,
            memory: &self.memory,
            cpus: self.cpus,
            accel: self.accel,
            drives,
            sockets,
            start,
        }
    }
}
