//! Serving in this process: from its first signal handler to the end of the mount.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, never, select};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::detached::await_detached;
use super::launch::READY;
use super::mount_point::{MountError, check_mount_point};
use super::sandbox::{self, SandboxError};
use super::start::{Options, Server};
use crate::crash::SourceError;
use crate::disk::{AttachError, Disks};
use crate::fuse::Access;
use crate::os::{mounts, sys};
use crate::protocol::DiskSpec;

/// The disks to serve, and the way to serve them.
#[derive(Debug)]
pub struct Serving<'a> {
    /// An empty folder.
    pub mount_point: &'a Path,
    /// The disks from the start.
    pub disks: &'a [DiskSpec],
    /// Who may open the data files.
    pub access: Access,
    /// Bytes that all pending and held data together may take; the default of the disks without it.
    pub memory: Option<u64>,
    /// Gets [`READY`] once the mount answers, or the error text.
    pub ready: Option<File>,
    /// A folder to remove at the end.
    pub scratch: Option<PathBuf>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder cannot be mounted over, or the mount failed.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// No signal handler could be installed.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    /// The threads of the disks could not be started.
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
    /// An image could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// There are no states to serve.
    #[error(transparent)]
    States(#[from] SourceError),
}

/// Serves until a signal (SIGINT, SIGTERM, SIGHUP) or an unmount ends the mount. A server that cannot enter
/// its sandbox serves all the same, and `warn` gets the reason.
pub fn serve(mut serving: Serving<'_>, warn: impl Fn(SandboxError)) -> Result<(), ServeError> {
    // A write beyond `ulimit -f` is an error of that write, and not the end of the server.
    sys::ignore(libc::SIGXFSZ);
    // While there is one thread: each has capabilities of its own.
    let _ = sandbox::drop_capabilities().map_err(&warn);
    let started = start(&serving);
    let report = match &started {
        Ok(_) => {
            let _ = sandbox::enter().map_err(&warn);
            READY.to_owned()
        }
        Err(error) => error.to_string(),
    };
    if let Some(mut ready) = serving.ready.take() {
        let _ = ready.write_all(report.as_bytes());
    }
    let (server, stop) = started?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    serve_until(&stop, &server);
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    server.end();
    if let Some(scratch) = &serving.scratch {
        remove_scratch(scratch, serving.mount_point);
    }
    Ok(())
}

fn start(serving: &Serving<'_>) -> Result<(Server, Receiver<()>), ServeError> {
    let mount_point = check_mount_point(serving.mount_point)?;
    // Before the mount: a signal that arrives in between must not leave the mount behind.
    let stop = stop_signals().map_err(ServeError::Signals)?;
    let disks = match serving.memory {
        Some(memory) => Disks::with_memory(memory),
        None => Disks::start(),
    };
    let disks = Arc::new(disks.map_err(ServeError::Threads)?);
    for disk in serving.disks {
        let image = disk.image.canonicalize();
        let image = image.unwrap_or_else(|_| disk.image.clone());
        disks.attach(&disk.id, &image, disk.options)?;
    }
    let options = Options {
        mount_point,
        access: serving.access,
    };
    Ok((Server::start(&options, disks)?, stop))
}

/// Gets a message, or disconnects, at the first signal that ends the server.
pub(super) fn stop_signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (tx, stop) = bounded(1);
    let listen = move || {
        signals.forever().next();
        let _ = tx.send(());
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(listen)?;
    Ok(stop)
}

/// Returns when `stop` says so, or the mount is gone.
fn serve_until(stop: &Receiver<()>, server: &Server) {
    let mut detached = await_detached();
    loop {
        select! {
            recv(stop) -> _ => return,
            recv(server.unmounted()) -> _ => return,
            recv(detached) -> _ => {
                server.release();
                detached = never();
            }
        }
    }
}

/// Removes the folder of a test run, but never through a mount that is still there.
pub(super) fn remove_scratch(scratch: &Path, mount_point: &Path) {
    if mount_point.starts_with(scratch) && matches!(mounts::find(mount_point), Ok(None)) {
        let _ = std::fs::remove_dir_all(scratch);
    }
}
