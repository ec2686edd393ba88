//! Serving in this process: from its first signal handler to the end of the mount.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, never, select};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use super::detached::await_detached;
use super::launch::READY;
use super::mount_point::{MountError, check_mount_point};
use super::sandbox::{self, SandboxError};
use super::start::{Options, Server};
use crate::crash::SourceError;
use crate::disk::{AttachError, Disks};
use crate::fuse::Access;
use crate::os::log::{Log, LogError, LogOptions};
use crate::os::{mounts, run_folder, sys};
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
    pub run_folder: Option<PathBuf>,
    /// What it logs, and where.
    pub log: LogOptions,
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
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The mount would hide its own log.
    #[error("the log {} lies in the mount point: put it elsewhere", .0.display())]
    LogInMount(PathBuf),
    /// The threads of the disks could not be started.
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
    /// An image could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// It has ended, and images lack what their disks held.
    #[error("{0}")]
    Lost(String),
    /// There are no states to serve.
    #[error(transparent)]
    States(#[from] SourceError),
}

/// Serves until a signal (SIGINT, SIGTERM, SIGHUP) or an unmount ends the mount. A server that cannot enter
/// its sandbox serves all the same, and `warn` gets the reason.
pub fn serve(mut serving: Serving<'_>, warn: impl Fn(SandboxError)) -> Result<(), ServeError> {
    // A write beyond `ulimit -f` is an error of that write, and not the end of the server.
    sys::ignore(libc::SIGXFSZ);
    sys::share_heaps();
    // While there is one thread: each has capabilities of its own.
    let dropped = sandbox::drop_capabilities();
    // Its thread lacks the capabilities too.
    let log = start_log(&serving);
    let warn = |error: SandboxError| {
        warn!("{error}");
        warn(error);
    };
    let _ = dropped.map_err(warn);
    let started = log.and_then(|log| Ok((start(&serving)?, log)));
    let report = match &started {
        Ok(_) => {
            let _ = sandbox::enter().map_err(warn);
            READY.to_owned()
        }
        Err(error) => {
            tracing::error!("not started: {error}");
            error.to_string()
        }
    };
    if let Some(mut ready) = serving.ready.take() {
        let _ = ready.write_all(report.as_bytes());
    }
    let ((server, stop), _log) = started?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let why = serve_until(&stop, &server);
    info!("ending: {why}");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let lost = server.end();
    info!("ended: unmounted, and all images are flushed");
    if let Some(run_folder) = &serving.run_folder {
        remove_run_folder(run_folder, serving.mount_point);
    }
    match lost.is_empty() {
        true => Ok(()),
        false => Err(ServeError::Lost(lost.join("; "))),
    }
}

fn start_log(serving: &Serving<'_>) -> Result<Log, ServeError> {
    let mount_point = std::path::absolute(serving.mount_point).unwrap_or_default();
    let path = serving.log.path.clone().unwrap_or_default();
    let path = std::path::absolute(path).unwrap_or_default();
    if path.starts_with(&mount_point) {
        return Err(ServeError::LogInMount(path));
    }
    Ok(Log::start(&serving.log)?)
}

fn start(serving: &Serving<'_>) -> Result<(Server, Receiver<i32>), ServeError> {
    let mount_point = check_mount_point(serving.mount_point)?;
    log_start(serving, &mount_point);
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

fn log_start(serving: &Serving<'_>, mount_point: &Path) {
    let mut options = serving.access.options();
    options.extend(serving.memory.map(|bytes| format!("memory={bytes}")));
    info!(
        "provium {} starts at {} for user {}, with {}",
        env!("CARGO_PKG_VERSION"),
        mount_point.display(),
        sys::uid(),
        match options.is_empty() {
            true => "no options".to_owned(),
            false => format!("-o {}", options.join(",")),
        }
    );
}

/// Gets the first signal that ends the server, or disconnects.
pub(super) fn stop_signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (tx, stop) = bounded(1);
    let listen = move || {
        if let Some(signal) = signals.forever().next() {
            let _ = tx.send(signal);
        }
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(listen)?;
    Ok(stop)
}

/// Returns when `stop` says so, or the mount is gone, and says which.
fn serve_until(stop: &Receiver<i32>, server: &Server) -> String {
    let mut detached = await_detached();
    loop {
        select! {
            recv(stop) -> signal => return match signal {
                Ok(SIGINT) => "got SIGINT".into(),
                Ok(SIGTERM) => "got SIGTERM".into(),
                Ok(SIGHUP) => "got SIGHUP".into(),
                _ => "got a signal".into(),
            },
            recv(server.unmounted()) -> _ => return "the mount is gone: unmounted by another process, or a thread failed".into(),
            recv(detached) -> _ => {
                info!("the mount is detached while files are open: all rules are cleared, what they held goes on");
                server.release();
                detached = never();
            }
        }
    }
}

/// Removes the folder of a test run, but never through a mount that is still there.
pub(super) fn remove_run_folder(run_folder: &Path, mount_point: &Path) {
    if mount_point.starts_with(run_folder) && matches!(mounts::find(mount_point), Ok(None)) {
        let _ = std::fs::remove_dir_all(run_folder);
    }
    // A run that was killed leaves another folder, which nobody else removes before the next run.
    let _ = run_folder::remove_evidence_of_killed_runs();
}
