//! What a boot makes of a profile and its options, disks apart.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::qemu::accel::{Kvm, kvm};
use super::qemu::arguments::{MachineSpec, Sockets, Start, needs_disks};
use super::qemu::board::Board;
use super::qemu::drive::Drive;
use super::qemu::process::{PROGRAM, find_program};
use super::qemu::target::Target;
use super::{BootOptions, Guest, VmError};
use crate::config::{Accel, Firmware, Net, Profile};

/// A boot that is to come.
#[derive(Clone)]
pub(super) struct BootPlan {
    /// The QEMU.
    pub(super) program: PathBuf,
    target: Target,
    board: Board,
    /// The kernel; without one the firmware boots a disk.
    pub(super) guest: Option<Guest>,
    pub(super) firmware: Option<Firmware>,
    /// The name of the profile whose guest has no agent.
    without_agent: Option<String>,
    net: Option<Net>,
    hostfwd: Vec<String>,
    added: Vec<String>,
    /// With a unit, as QEMU takes it.
    pub(super) memory: String,
    pub(super) cpus: u32,
    /// KVM or TCG.
    pub(super) accel: Accel,
    /// Whether its kernel boots, even where a saved state could go on.
    pub(super) is_cold: bool,
    /// Why there can be no saved state of such a machine, if so.
    pub(super) no_state: Option<String>,
    /// When the guest has to be there, however it is tried.
    pub(super) deadline: Instant,
}

impl BootPlan {
    /// What `options` make of `profile`, called `name`; every file of it exists. It is to be there at once.
    pub(super) fn new(
        profile: &Profile,
        name: &str,
        options: &BootOptions,
    ) -> Result<Self, VmError> {
        let program = program(profile, name)?;
        let target = Target::of(&program)?;
        let board = Board::new(target, profile.machine.as_deref());
        let mut guest = Guest::of(profile, name, target)?;
        match (&mut guest, &options.kernel_cmdline) {
            (Some(guest), Some(added)) => guest.cmdline = format!("{} {added}", guest.cmdline),
            (None, Some(_)) => return Err(VmError::NoKernelForCmdline(name.to_owned())),
            (_, None) => {}
        }
        let memory = options.memory.as_ref().unwrap_or(&profile.memory);
        Ok(Self {
            no_state: no_state(profile, target, &board, guest.as_ref()),
            accel: accel(profile.accel, target, name)?,
            program,
            target,
            board,
            guest,
            firmware: profile.firmware.clone(),
            without_agent: (!profile.agent).then(|| name.to_owned()),
            net: profile.net,
            hostfwd: profile.hostfwd.clone(),
            added: profile.qemu_args.clone(),
            memory: memory.clone(),
            cpus: options.cpus.unwrap_or(profile.cpus),
            is_cold: profile.cold || options.cold == Some(true),
            deadline: Instant::now(),
        })
    }

    /// Whether the profile's own words say where the guest's memory lies.
    pub(super) fn brings_memory(&self) -> bool {
        let says = |word: &String| word.contains("memory-backend") || word.contains("-numa");
        self.added.iter().any(says)
    }

    /// The machine that it starts.
    pub(super) fn spec<'a>(&'a self, start: Start<'a>, drives: &'a [Drive]) -> MachineSpec<'a> {
        MachineSpec {
            program: &self.program,
            target: self.target,
            board: &self.board,
            guest: self.guest.as_ref(),
            firmware: self.firmware.as_ref(),
            without_agent: self.without_agent.as_deref(),
            net: self.net,
            hostfwd: &self.hostfwd,
            added: &self.added,
            memory: &self.memory,
            cpus: self.cpus,
            accel: self.accel,
            drives,
            sockets: Sockets::default(),
            start,
        }
    }
}

/// Where the QEMU of `profile`, called `name`, is.
fn program(profile: &Profile, name: &str) -> Result<PathBuf, VmError> {
    let Some(qemu) = &profile.qemu else {
        let found = find_program(Path::new(PROGRAM));
        let program = PROGRAM.to_owned();
        return found.ok_or(VmError::NoQemu { program });
    };
    let target = Target::of(qemu)?;
    find_program(qemu).ok_or_else(|| VmError::NoOwnQemu {
        profile: name.to_owned(),
        program: qemu.clone(),
        target: target.name(),
        package: target.package(),
    })
}

/// KVM where it runs such guests, or what the profile says.
fn accel(chosen: Accel, target: Target, profile: &str) -> Result<Accel, VmError> {
    match chosen {
        Accel::Auto if target.is_of_host() && kvm() == Kvm::Works => Ok(Accel::Kvm),
        Accel::Auto | Accel::Tcg => Ok(Accel::Tcg),
        Accel::Kvm if target.is_of_host() => Ok(Accel::Kvm),
        Accel::Kvm => Err(VmError::NoKvmFor {
            profile: profile.to_owned(),
            target: target.name(),
        }),
    }
}

/// Why there can be no saved state of such a machine, if so.
fn no_state(
    profile: &Profile,
    target: Target,
    board: &Board,
    guest: Option<&Guest>,
) -> Option<String> {
    let is_own = guest.is_none() || profile.kernel.is_some();
    if !profile.agent {
        return Some("its profile has `agent = false`, so nothing tells when it has booted".into());
    }
    if target != Target::X86_64 {
        let target = target.name();
        return Some(format!(
            "guests of {target} are not resumed, only those of x86_64"
        ));
    }
    if !board.bus.hot_plugs() {
        let kind = board.kind();
        return Some(format!("a `{kind}` takes no disks while it runs"));
    }
    let reasons = [
        (profile.firmware.is_some(), "`firmware`"),
        (profile.boots_a_disk(), "an `image` that it boots"),
        (!profile.qemu_args.is_empty(), "`qemu_args`"),
        (profile.net.is_some(), "`net`"),
        (
            is_own && !profile.disks.is_empty(),
            "a kernel and `disks` of its own",
        ),
    ];
    if let Some((_, what)) = reasons.iter().find(|(applies, _)| *applies) {
        return Some(format!("its profile has {what}"));
    }
    needs_disks(&guest?.cmdline)
}
