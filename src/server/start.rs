//! A mount server, and how it starts: resources that it must not lack later, its lock, the mount.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::mount_point::MountError;
use crate::disk::Disks;
use crate::fuse::{Access, FrontEnd, Session};
use crate::os::mounts::{self, Mount};
use crate::os::server_lock::{self, ServerLock};

/// Threads that a server needs from its first answers on, beside its loops: one that starts these, one
/// for control files, one for storage, one that watches the table of mounts.
const BESIDE_LOOPS: usize = 4;

/// Descriptors that the end needs: it reads the table of mounts, and may have to start fusermount3.
const FOR_THE_END: usize = 8;

/// How to mount.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The folder, as [`check_mount_point`](super::mount_point::check_mount_point) returned it.
    pub(super) mount_point: PathBuf,
    /// Who may open the data files.
    pub(super) access: Access,
}

/// A mount that answers. It lasts until [`Server::end`].
pub(super) struct Server {
    pub(super) disks: Arc<Disks>,
    pub(super) mount_point: PathBuf,
    pub(super) session: Session,
    /// None without a run-time folder.
    pub(super) lock: Option<ServerLock>,
    /// Kept from the disks and the clients, which may use up all others.
    pub(super) for_the_end: Vec<File>,
}

impl Server {
    /// Mounts and starts to serve `disks`.
    pub(super) fn start(options: &Options, disks: Arc<Disks>) -> Result<Self, MountError> {
        let failed = |cause| MountError::Io {
            path: options.mount_point.clone(),
            cause,
        };
        let for_the_end = descriptors_for_the_end(failed)?;
        let front_end = FrontEnd::start(Arc::clone(&disks), options.access).map_err(failed)?;
        if !can_start(front_end.threads() + BESIDE_LOOPS) {
            return Err(MountError::NoThreads(options.mount_point.clone()));
        }
        // The mount works without a lock. Other processes cannot tell then whether this one runs.
        let lock = take_lock().ok();
        let session = front_end.mount(&options.mount_point, &own_source());
        Ok(Self {
            disks,
            mount_point: options.mount_point.clone(),
            session: session.map_err(failed)?,
            lock,
            for_the_end,
        })
    }

    /// Disconnects when another process has unmounted the mount.
    pub(super) fn unmounted(&self) -> &Receiver<()> {
        self.session.unmounted()
    }
}

/// Opens descriptors that only hold places in the descriptor table.
fn descriptors_for_the_end(
    failed: impl Fn(io::Error) -> MountError,
) -> Result<Vec<File>, MountError> {
    let fuse = File::options().read(true).write(true).open("/dev/fuse");
    let fuse = fuse.map_err(MountError::NoFuse)?;
    let copies = (0..FOR_THE_END).map(|_| fuse.try_clone());
    copies.collect::<io::Result<_>>().map_err(failed)
}

/// Takes the lock of this process, and removes the lock files of servers that were killed.
fn take_lock() -> io::Result<ServerLock> {
    let _ = mounts::remove_leftover_locks();
    ServerLock::take()
}

/// The name of this server in the table of mounts.
fn own_source() -> String {
    let number = std::process::id().to_string();
    Mount::source(server_lock::own_key().unwrap_or(&number))
}

/// Whether this user may start `threads` more threads. fuser starts its threads in a thread of its own,
/// and does not report whether they run.
fn can_start(threads: usize) -> bool {
    let (tx, rx) = bounded::<()>(0);
    let start = |_| {
        let rx = rx.clone();
        std::thread::Builder::new().spawn(move || {
            let _ = rx.recv();
        })
    };
    let started: Vec<_> = (0..threads).map_while(|n| start(n).ok()).collect();
    let all = started.len() == threads;
    drop(tx);
    started.into_iter().for_each(|thread| drop(thread.join()));
    all
}
