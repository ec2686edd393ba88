//! The options of one boot, which change the profile.

use std::time::Duration;

use crate::config::VmDisk;

/// How long a guest may take to boot, unless a test says otherwise.
pub(super) const BOOT: Duration = Duration::from_secs(60);

/// The options of one boot.
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
    pub disks: Vec<VmDisk>,
    /// Whether its kernel boots, even where a saved state could go on.
    pub cold: Option<bool>,
}

impl BootOptions {
    /// These options, with `defaults` for those that are not given.
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            memory: self.memory.or_else(|| defaults.memory.clone()),
            cpus: self.cpus.or(defaults.cpus),
            // Both are additions.
            kernel_cmdline: match (&defaults.kernel_cmdline, self.kernel_cmdline) {
                (Some(default), Some(own)) => Some(format!("{default} {own}")),
                (default, own) => own.or_else(|| default.clone()),
            },
            cold: self.cold.or(defaults.cold),
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
