//! A mount that a command has for itself, in a folder of its own. Its server ends with this process, however that
//! ends.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use super::disks::warn_of_format;
use super::{output, umount};
use crate::os::process::Process;
use crate::os::run_folder::{RunFolder, RunFolderKind};
use crate::os::{mount_users, mounts};
use crate::protocol::DiskSpec;
use crate::server::launch::{self, Lifetime};
use crate::units::text::shown;

/// How long the server may take to end after its mount.
const SERVER_END: Duration = Duration::from_secs(30);

/// The mount.
pub(super) struct PrivateMount {
    server: Child,
    folder: RunFolder,
}

impl PrivateMount {
    /// Serves `disks`.
    pub(super) fn start(disks: &[DiskSpec]) -> anyhow::Result<Self> {
        let mut disks = disks.to_vec();
        for disk in &mut disks {
            disk.image = std::path::absolute(&disk.image)?;
            warn_of_format(&disk.image);
        }
        let folder = RunFolder::create(RunFolderKind::Run)?;
        let run_folder = folder.path().to_owned();
        let lifetime = Lifetime::WithCaller { run_folder };
        let server = launch::start(&folder.mount_point(), &disks, &[], &lifetime)?;
        Ok(Self { server, folder })
    }

    /// Where it is.
    pub(super) fn point(&self) -> PathBuf {
        self.folder.mount_point()
    }

    /// Unmounts, also while what a command has left behind uses the mount. What goes wrong is said.
    pub(super) fn end(mut self) {
        if let Err(error) = unmount(&self.point()) {
            output::error(format_args!("{error:#}"));
        }
        let ended = Process::open(self.server.id()).and_then(|server| server.wait(SERVER_END));
        if !matches!(ended, Ok(true)) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

fn unmount(point: &Path) -> anyhow::Result<()> {
    let Err(error) = umount::umount(point, false) else {
        return Ok(());
    };
    let mount = mounts::find(point)?;
    let users = mount.map(|mount| mount_users::users(&mount).here);
    match users.filter(|users| !users.is_empty()) {
        Some(users) => output::warn(format_args!(
            "the command has ended and left behind what still uses its disks, which go away now: {}",
            shown(users.join("; "))
        )),
        None => output::warn(format_args!("{error:#}")),
    }
    umount::umount(point, true).map(drop)
}
