//! The run-time folder of a VM: mount point, console log, QEMU's messages.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::VmError;
use crate::os::run_folder::{RunFolder, RunFolderKind};

/// The run-time folder of a VM.
#[derive(Debug)]
pub(super) struct Folder(RunFolder);

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        RunFolder::create(RunFolderKind::Vm).map(Self)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn mount_point(&self) -> PathBuf {
        self.0.mount_point()
    }

    pub(super) fn console(&self) -> PathBuf {
        self.path().join("console.log")
    }

    pub(super) fn qemu_log(&self) -> PathBuf {
        self.path().join("qemu.log")
    }

    /// A new empty image of `size` bytes, which goes with the folder.
    pub(super) fn scratch_image(&self, size: u64) -> Result<PathBuf, VmError> {
        let path = self.new_path("scratch", "img");
        let made = File::create_new(&path).and_then(|file| file.set_len(size));
        made.map_err(VmError::io(format!("a scratch disk of {size} bytes")))?;
        Ok(path)
    }

    /// The copy of the firmware's variables `template` that this VM has: a new one the first time.
    pub(super) fn firmware_variables(&self, template: &Path) -> Result<PathBuf, VmError> {
        let path = self.path().join("firmware-variables");
        if !path.exists() {
            let failed = VmError::io(format!("a copy of {}", template.display()));
            let write = |from: Vec<u8>| std::fs::write(&path, from);
            std::fs::read(template).and_then(write).map_err(failed)?;
        }
        Ok(path)
    }

    /// Where a new log of the disk `id` lies, which goes with the folder.
    pub(super) fn log_path(&self, id: &str) -> PathBuf {
        self.new_path(&format!("{id}-"), "log")
    }

    /// Where a file lies that goes with the folder; a new place each time.
    fn new_path(&self, name: &str, ending: &str) -> PathBuf {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.path().join(format!("{name}{number}.{ending}"))
    }

    /// Removes it now. Its files do not exist afterwards.
    pub(super) fn remove(&self) {
        self.0.remove();
    }
}
