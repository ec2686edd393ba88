//! The files that a profile boots: a kernel and an initial RAM disk, with a command line.

use std::path::{Path, PathBuf};

use crate::config::{DEFAULT_PROFILE, Profile};
use crate::os::folders;
use crate::vm::VmError;
use crate::vm::guest::kernel_file::flaw;
use crate::vm::qemu::target::Target;

/// Words that make a built-in guest boot sooner under TCG. It guards nothing but a test. No `nokaslr`: after a
/// reset the kernel would be unpacked to where it ran, and each write to code that QEMU has translated is
/// slow, which made a reset take twice as long as a boot. `no_timer_check`: where QEMU gets no processor for a
/// moment, the kernel takes its timer for a broken one, and panics.
const QUICK: &str = "mitigations=off tsc=reliable cryptomgr.notests no_timer_check";

/// Files and words to boot with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
}

impl Guest {
    /// The folder of the built default guest.
    pub fn default_folder() -> Result<PathBuf, VmError> {
        Self::folder(DEFAULT_PROFILE)
    }

    /// The folder of the built-in guest `name`, once it is built.
    pub fn folder(name: &str) -> Result<PathBuf, VmError> {
        let cache = folders::cache().map_err(VmError::io("the guest's folder"))?;
        Ok(cache.join("guest").join(name))
    }

    /// The files that `profile`, called `name`, boots on `target`; each of them exists. None where the firmware boots
    /// a disk.
    pub(in crate::vm) fn of(
        profile: &Profile,
        name: &str,
        target: Target,
    ) -> Result<Option<Self>, VmError> {
        for file in profile
            .firmware
            .iter()
            .flat_map(|firmware| firmware.files())
        {
            must_exist("firmware", name, file)?;
        }
        let added = profile.cmdline.as_deref().unwrap_or_default();
        // The beginning of every guest's command line. The console is logged. A panic is recognised by the time
        // before it.
        let cmdline = format!("console={} panic=0 printk.time=1", target.serial_port());
        let Some(kernel) = &profile.kernel else {
            return match profile.boots_a_disk() {
                true => Ok(None),
                false => {
                    let guest = profile.built_in_guest();
                    let cmdline = format!("{cmdline} {QUICK} {added}");
                    Self::built_in(guest, name, target, cmdline)
                }
            };
        };
        must_exist("kernel", name, kernel)?;
        must_be_a_kernel(kernel, name, target, profile.firmware.is_some())?;
        if let Some(initrd) = &profile.initrd {
            must_exist("initrd", name, initrd)?;
        }
        Ok(Some(Self {
            kernel: kernel.clone(),
            initrd: profile.initrd.clone(),
            cmdline: format!("{cmdline} {added}"),
        }))
    }

    fn built_in(
        guest: &str,
        profile: &str,
        target: Target,
        cmdline: String,
    ) -> Result<Option<Self>, VmError> {
        if target != Target::X86_64 {
            return Err(VmError::NoGuestFor {
                profile: profile.to_owned(),
                guest: guest.to_owned(),
                target: target.name(),
            });
        }
        let folder = Self::folder(guest)?;
        let [kernel, initrd] = ["vmlinuz", "initrd"].map(|file| folder.join(file));
        if let Some(missing) = [&kernel, &initrd].into_iter().find(|path| !path.is_file()) {
            return Err(VmError::NoGuest {
                guest: guest.to_owned(),
                missing: missing.clone(),
            });
        }
        Ok(Some(Self {
            kernel,
            initrd: Some(initrd),
            cmdline,
        }))
    }
}

fn must_exist(what: &'static str, profile: &str, path: &Path) -> Result<(), VmError> {
    if path.is_file() {
        return Ok(());
    }
    Err(VmError::NoBootFile {
        what,
        profile: profile.to_owned(),
        path: path.to_owned(),
    })
}

fn must_be_a_kernel(
    path: &Path,
    profile: &str,
    target: Target,
    has_firmware: bool,
) -> Result<(), VmError> {
    let failed = VmError::io(format!("kernel {}", path.display()));
    match flaw(path, target, has_firmware).map_err(failed)? {
        None => Ok(()),
        Some(flaw) => Err(VmError::NotAKernel {
            profile: profile.to_owned(),
            path: path.to_owned(),
            flaw,
        }),
    }
}
