//! A guest: the table `[profiles.NAME]` of `provium.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BootDisk;
use crate::units::size::parse_size;

/// The memory that a guest may have.
pub const MEMORY: &str =
    "a size of 16M or more with a unit, such as \"256M\", or a number of bytes";
/// How many virtual processors a guest may have.
pub const CPUS: &str = "a whole number from 1 to 255";

/// How QEMU's virtual processor runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM where it truly works, else TCG.
    #[default]
    Auto,
    /// The host's processor.
    Kvm,
    /// Translation: slow, and works everywhere.
    Tcg,
}

/// A `[profiles.NAME]` table: a guest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// A built-in guest, which has its own kernel and initrd. The only one is `default`.
    pub guest: Option<String>,
    /// A Linux kernel, in place of a built-in guest.
    pub kernel: Option<PathBuf>,
    /// Its initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Added to the kernel's command line.
    pub cmdline: Option<String>,
    /// With a unit, as QEMU takes it.
    pub memory: String,
    /// How many virtual processors.
    pub cpus: u32,
    /// How the processors run.
    pub accel: Accel,
    /// Whether the kernel boots each time, even where a saved state could go on.
    pub cold: bool,
    /// The disks that each of its VMs boots with, before those that a test adds.
    pub disks: Vec<BootDisk>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            guest: None,
            kernel: None,
            initrd: None,
            cmdline: None,
            memory: "256M".into(),
            cpus: 1,
            accel: Accel::Auto,
            cold: false,
            disks: Vec::new(),
        }
    }
}

impl Profile {
    /// Its memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        parse_size(&self.memory).unwrap_or(0)
    }

    /// Has its relative paths start at `folder`.
    pub(super) fn start_paths_at(&mut self, folder: &Path) {
        for path in [&mut self.kernel, &mut self.initrd].into_iter().flatten() {
            *path = folder.join(&path);
        }
        for disk in &mut self.disks {
            disk.image = disk.image.clone().below(folder);
        }
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        let wrong = |key, expected, found| format!("`{key}` expects {expected}, not {found}");
        let memory = memory(&self.memory);
        self.memory =
            memory.ok_or_else(|| wrong("memory", MEMORY, format!("{:?}", self.memory)))?;
        self.cpus =
            cpus(self.cpus.into()).ok_or_else(|| wrong("cpus", CPUS, self.cpus.to_string()))?;
        match (&self.guest, &self.kernel, &self.initrd) {
            (Some(_), Some(_), _) => Err("`guest` and `kernel` exclude each other".into()),
            (Some(guest), ..) if guest != "default" => {
                Err(format!("unknown guest `{guest}` (known: default)"))
            }
            (_, None, Some(_)) => Err("`initrd` needs a `kernel`".into()),
            _ => Ok(()),
        }
    }
}

/// A guest's memory as QEMU takes it, in MiB, if `text` is [`MEMORY`].
pub fn memory(text: &str) -> Option<String> {
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    let mebibytes = parse_size(text).filter(|_| has_unit)? >> 20;
    (mebibytes >= 16).then(|| format!("{mebibytes}M"))
}

/// The same, of a number of bytes.
pub fn memory_of(bytes: i64) -> Option<String> {
    memory(&format!("{}K", u64::try_from(bytes).ok()? >> 10))
}

/// A guest's number of processors, if it is among [`CPUS`].
pub fn cpus(number: i64) -> Option<u32> {
    (1..=255).contains(&number).then_some(number as u32)
}
