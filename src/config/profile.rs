//! A guest: the table `[profiles.NAME]` of `provium.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::guest::{DEFAULT_PROFILE, GUESTS};
use super::machine::{AgentTimeout, Firmware, Net, forward};
use super::{VmDisk, qemu_args};
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
    /// One of the built-in guests, which have their own kernel and initrd.
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
    pub disks: Vec<VmDisk>,
    /// The image of its first disk, which it boots unless it has a kernel. It stays as it is.
    pub image: Option<PathBuf>,
    /// QEMU's machine type, with or without options; the usual one of the architecture without it.
    pub machine: Option<String>,
    /// The QEMU: a path, or a name that is looked up in PATH.
    pub qemu: Option<PathBuf>,
    /// Words that are added to its command line.
    pub qemu_args: Vec<String>,
    /// Whether the guest runs the QEMU guest agent. Without it there is only the console.
    pub agent: bool,
    /// How long the agent may take to answer after a boot or a reset.
    pub agent_timeout: Option<AgentTimeout>,
    /// The firmware, in place of QEMU's own. Without a kernel it boots a disk.
    pub firmware: Option<Firmware>,
    /// The network of the guest, which has none otherwise.
    pub net: Option<Net>,
    /// Ports of the host that lead to the guest, as QEMU takes them.
    pub hostfwd: Vec<String>,
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
            image: None,
            machine: None,
            qemu: None,
            qemu_args: Vec::new(),
            agent: true,
            agent_timeout: None,
            firmware: None,
            net: None,
            hostfwd: Vec::new(),
        }
    }
}

impl Profile {
    /// The profile of the built-in guest `name`.
    pub(super) fn built_in(name: &str) -> Self {
        Self {
            guest: (name != DEFAULT_PROFILE).then(|| name.to_owned()),
            ..Self::default()
        }
    }

    /// The built-in guest that it boots unless it has a kernel.
    pub fn built_in_guest(&self) -> &str {
        self.guest.as_deref().unwrap_or(DEFAULT_PROFILE)
    }

    /// Its memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        parse_size(&self.memory).unwrap_or(0)
    }

    /// Whether the firmware of the machine boots a disk, in place of a kernel that QEMU loads.
    pub fn boots_a_disk(&self) -> bool {
        let has_loader = self.firmware.is_some() || self.image.is_some();
        self.guest.is_none() && self.kernel.is_none() && has_loader
    }

    /// Its keys that go to QEMU as they are, as the file may have them.
    pub fn machine_words(&self) -> Vec<String> {
        let quoted = |key, text: Option<String>| text.map(|text| format!("{key} = {text:?}"));
        let firmware = self.firmware.iter().flat_map(|firmware| firmware.files());
        let files: Vec<_> = firmware.map(|file| file.display().to_string()).collect();
        let args =
            (!self.qemu_args.is_empty()).then(|| format!("qemu_args = {:?}", self.qemu_args));
        let forwards = (!self.hostfwd.is_empty()).then(|| format!("hostfwd = {:?}", self.hostfwd));
        let firmware = (!files.is_empty()).then(|| files.join(" and "));
        let words = [
            quoted("machine", self.machine.clone()),
            quoted("firmware", firmware),
            args,
            forwards,
        ];
        words.into_iter().flatten().collect()
    }

    /// Has its relative paths start at `folder`.
    pub(super) fn start_paths_at(&mut self, folder: &Path) {
        for path in [&mut self.kernel, &mut self.initrd].into_iter().flatten() {
            *path = folder.join(&path);
        }
        // A name without a folder is looked up in PATH.
        let has_folder = |path: &&mut PathBuf| path.components().count() > 1;
        if let Some(qemu) = self.qemu.as_mut().filter(has_folder) {
            *qemu = folder.join(&qemu);
        }
        self.firmware = self.firmware.as_ref().map(|file| file.below(folder));
        let image = self.image.clone().map(VmDisk::image);
        let disks = image.into_iter().chain(self.disks.drain(..));
        self.disks = disks.map(|disk| disk.of_profile(folder)).collect();
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        let wrong = |key, expected, found| format!("`{key}` expects {expected}, not {found}");
        let memory = memory(&self.memory);
        self.memory =
            memory.ok_or_else(|| wrong("memory", MEMORY, format!("{:?}", self.memory)))?;
        self.cpus =
            cpus(self.cpus.into()).ok_or_else(|| wrong("cpus", CPUS, self.cpus.to_string()))?;
        qemu_args::check(&self.qemu_args)?;
        self.check_machine()?;
        if self.net.is_none() && !self.hostfwd.is_empty() {
            return Err("`hostfwd` needs `net = \"user\"`".into());
        }
        let forwards = self.hostfwd.iter().map(|text| forward(text));
        self.hostfwd = forwards.collect::<Result<_, _>>()?;
        self.check_boot()
    }

    fn check_machine(&self) -> Result<(), String> {
        let options = self.machine.iter().flat_map(|machine| machine.split(','));
        let names = options.filter_map(|option| option.split_once('='));
        for (name, _) in names {
            let instead = match name {
                "accel" => "set `accel`",
                "kernel" | "initrd" | "firmware" => "set the key of that name",
                "append" => "set `cmdline`",
                "memory-backend" => "provium gives the machine its memory; set `memory`",
                _ => continue,
            };
            return Err(format!("`machine` cannot have `{name}=`: {instead}"));
        }
        Ok(())
    }

    fn check_boot(&self) -> Result<(), String> {
        match (&self.guest, &self.kernel, &self.initrd) {
            (Some(_), Some(_), _) => Err("`guest` and `kernel` exclude each other".into()),
            (Some(guest), ..) if !GUESTS.contains(&guest.as_str()) => {
                let known = GUESTS.join(", ");
                Err(format!("unknown guest `{guest}` (known: {known})"))
            }
            (_, None, Some(_)) => Err("`initrd` needs a `kernel`".into()),
            _ if self.cmdline.is_some() && self.boots_a_disk() => Err(
                "`cmdline` needs a `kernel`: without one the firmware boots a disk, whose boot \
                 loader has the command line"
                    .into(),
            ),
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
