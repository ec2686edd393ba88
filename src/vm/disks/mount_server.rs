//! The mount of a VM: a server of its own, which also removes the VM's folder when this process is killed.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::client::MountClient;
use crate::os::process::Process;
use crate::server::launch::{self, Lifetime};
use crate::vm::VmError;

/// How long a mount server may take to end.
const SERVER_END: Duration = Duration::from_secs(10);

/// The mount of a VM; its server gets SIGTERM when this is dropped.
pub(in crate::vm) struct MountServer {
    process: Child,
    pub(in crate::vm) mount: MountClient,
}

impl MountServer {
    /// Starts a server at `point`; should this process die, it removes the folder `run_folder`.
    pub(in crate::vm) fn start(point: &Path, run_folder: &Path) -> Result<Self, VmError> {
        let run_folder = run_folder.to_owned();
        let process = launch::start(point, &[], &[], &Lifetime::WithCaller { run_folder })?;
        let mount = MountClient::open(point)?;
        Ok(Self { process, mount })
    }
}

impl Drop for MountServer {
    fn drop(&mut self) {
        if let Ok(server) = Process::open(self.process.id()) {
            let _ = server.signal(libc::SIGTERM);
            if !server.wait(SERVER_END).unwrap_or(false) {
                let _ = self.process.kill();
            }
        }
        let _ = self.process.wait();
    }
}
