//! The files that a profile boots: a kernel and an initial RAM disk, with a command line.

use std::path::{Path, PathBuf};

use crate::config::Profile;
use crate::os::folders;
use crate::vm::VmError;

/// The built-in guest, in the cache.
pub const DEFAULT_GUEST: &str = "default";

/// The beginning of every guest's command line. The console is logged. A panic is recognised by the time before
/// it.
const CMDLINE: &str = "console=ttyS0 panic=0 printk.time=1";
/// Words that make the default guest boot sooner under TCG. It guards nothing but a test. No `nokaslr`: after a
/// reset the kernel would be unpacked to where it ran, and each write to code that QEMU has translated is
/// slow, which made a reset take twice as long as a boot.
const QUICK: &str = "mitigations=off tsc=reliable cryptomgr.notests";

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
        let cache = folders::cache().map_err(VmError::io("the guest's folder"))?;
        Ok(cache.join("guest").join(DEFAULT_GUEST))
    }

    /// The files of `profile`, called `name`; each of them exists.
    pub fn of(profile: &Profile, name: &str) -> Result<Self, VmError> {
        let added = profile.cmdline.as_deref().unwrap_or_default();
        let Some(kernel) = &profile.kernel else {
            return Self::default_guest(format!("{CMDLINE} {QUICK} {added}"));
        };
        must_exist("kernel", name, kernel)?;
        if let Some(initrd) = &profile.initrd {
            must_exist("initrd", name, initrd)?;
        }
        Ok(Self {
            kernel: kernel.clone(),
            initrd: profile.initrd.clone(),
            cmdline: format!("{CMDLINE} {added}"),
        })
    }

    fn default_guest(cmdline: String) -> Result<Self, VmError> {
        let folder = Self::default_folder()?;
        let [kernel, initrd] = ["vmlinuz", "initrd"].map(|file| folder.join(file));
        if let Some(missing) = [&kernel, &initrd].into_iter().find(|path| !path.is_file()) {
            return Err(VmError::NoGuest(missing.clone()));
        }
        Ok(Self {
            kernel,
            initrd: Some(initrd),
            cmdline,
        })
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
