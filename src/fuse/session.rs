//! A mount from its beginning to its one documented end.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};

use super::adapter::Provium;
use super::attr::Attributes;
use super::cache::PageCache;
use super::handles::Handles;
use super::loops::Loops;
use super::tree::Tree;
use crate::control::Control;
use crate::disk::{Disks, Pool};
use crate::os::mounts::{self, Mount};
use crate::os::server_lock::{self, ServerLock};
use crate::os::sys;
use crate::protocol::names::FS_TYPE;

/// How long the end waits for clients that are closing before it unmounts without them.
const CLOSING: Duration = Duration::from_millis(500);

/// Most threads for control files.
const CONTROL_THREADS: usize = 12;

/// Threads that a server needs from its first answers on, beside its loops: one that starts these, one
/// for control files, one for storage, one that looks for changes of the list of mounts.
const BESIDE_LOOPS: usize = 4;

/// Descriptors that the end needs: it reads the list of mounts, and may have to start fusermount3.
const FOR_THE_END: usize = 8;

/// How to mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder, as [`check_mount_point`] returned it.
    pub mount_point: PathBuf,
    /// Other users may open the data files.
    pub allow_other: bool,
}

/// Why nothing was mounted. Every text names the path.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is no such folder; nothing is created.
    #[error("mount point {} does not exist: create it with `mkdir {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    /// Something else than a folder.
    #[error("mount point {} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Files would be hidden by the mount.
    #[error("mount point {} is not empty: its files would be hidden", .0.display())]
    NotEmpty(PathBuf),
    /// A provium mount is there already.
    #[error("mount point {} is busy: provium serves it already; end that with `provium umount {}`", .0.display(), .0.display())]
    Busy(PathBuf),
    /// A server that died left it behind.
    #[error("mount point {} is stale: its server died; clean up with `provium umount --stale`", .0.display())]
    Stale(PathBuf),
    /// Its threads cannot be started, and nothing would answer.
    #[error("cannot mount at {}: its threads cannot be started; the limit for this user may be too low (`ulimit -u`)", .0.display())]
    NoThreads(PathBuf),
    /// /dev/fuse is missing or not ours to open.
    #[error("/dev/fuse cannot be opened: {0}; `provium doctor` tells how to mend that")]
    NoFuse(io::Error),
    /// The system refused.
    #[error("cannot mount at {}: {cause}", path.display())]
    Io {
        /// The mount point.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Checks that `path` can be mounted over, and returns it absolute and without links.
pub fn check_mount_point(path: &Path) -> Result<PathBuf, MountError> {
    let failed = |cause| MountError::Io {
        path: path.to_owned(),
        cause,
    };
    // The list first: a mount that does not answer must not be touched.
    let absolute = std::path::absolute(path).map_err(failed)?;
    check_not_ours(&absolute)?;
    let resolved = absolute
        .canonicalize()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => MountError::Missing(path.to_owned()),
            io::ErrorKind::NotConnected => MountError::Stale(path.to_owned()),
            _ => failed(cause),
        })?;
    check_not_ours(&resolved)?;
    if !resolved.is_dir() {
        return Err(MountError::NotAFolder(path.to_owned()));
    }
    if resolved.read_dir().map_err(failed)?.next().is_some() {
        return Err(MountError::NotEmpty(path.to_owned()));
    }
    Ok(resolved)
}

fn check_not_ours(path: &Path) -> Result<(), MountError> {
    match mounts::find(path) {
        Ok(Some(mount)) if mount.is_stale() => Err(MountError::Stale(path.to_owned())),
        Ok(Some(_)) => Err(MountError::Busy(path.to_owned())),
        _ => Ok(()),
    }
}

/// A mount that answers. It lasts until [`Server::end`].
pub struct Server {
    disks: Arc<Disks>,
    mount_point: PathBuf,
    /// Never dropped: fuser would unmount whatever lies at the mount point by then, ours or not.
    _session: ManuallyDrop<BackgroundSession>,
    loops: Arc<Loops>,
    /// None where there is no run-time folder.
    lock: Option<ServerLock>,
    /// Kept from the disks and the clients, who may use up all others.
    for_the_end: Vec<File>,
}

impl Server {
    /// Mounts and starts to serve `disks`.
    pub fn start(options: &Options, disks: Arc<Disks>) -> Result<Self, MountError> {
        let fuse = File::options().read(true).write(true).open("/dev/fuse");
        let fuse = fuse.map_err(MountError::NoFuse)?;
        let failed = |cause| MountError::Io {
            path: options.mount_point.clone(),
            cause,
        };
        let copies = (0..FOR_THE_END).map(|_| fuse.try_clone());
        let for_the_end = copies.collect::<io::Result<_>>().map_err(failed)?;
        drop(fuse);
        let control_pool = Pool::new(CONTROL_THREADS);
        control_pool.begin().map_err(failed)?;
        let loops = Loops::start().map_err(failed)?;
        let threads = loops.threads();
        if !can_start(threads + BESIDE_LOOPS) {
            return Err(MountError::NoThreads(options.mount_point.clone()));
        }
        let cache = Arc::new(PageCache::default());
        let tree = Tree {
            control: Control::new(Arc::clone(&disks)),
            handles: Handles::default(),
            attributes: Attributes::new(options.allow_other),
            loops: Arc::clone(&loops),
            cache: Arc::clone(&cache),
            streams: Arc::default(),
            control_pool,
            disks: Arc::clone(&disks),
        };
        // Without one it is served all the same; only, nobody can tell from outside whether we run.
        let lock = mounts::take_server_lock().ok();
        let filesystem = Provium::new(tree);
        let config = config(options.allow_other, threads, &own_source());
        let session = Session::new(filesystem, &options.mount_point, &config).map_err(failed)?;
        let watched = Arc::clone(&disks);
        loops.on_stuck(move || watched.look_for_stuck());
        let device = session.as_fd().try_clone_to_owned().map_err(failed)?;
        cache.tell_through(sys::clone_fuse_device(&device).map_err(failed)?);
        loops.look_out_at(device);
        Ok(Self {
            disks,
            mount_point: options.mount_point.clone(),
            _session: ManuallyDrop::new(session.spawn().map_err(failed)?),
            loops,
            lock,
            for_the_end,
        })
    }

    /// Disconnects when somebody else has unmounted it.
    pub fn unmounted(&self) -> &Receiver<()> {
        self.loops.over()
    }

    /// Lets go of everything that waits, and clears all faults: nobody could do so any more through a
    /// mount that was taken away while files in it are open. These are served on.
    pub fn release(&self) {
        self.disks.clear();
    }

    /// The one end: lets go of everything that waits, unmounts (without the clients that still
    /// have files open, if need be), finishes what was begun, flushes the images.
    ///
    /// When it returns, all data that was ever acknowledged is with the host's storage: nothing is
    /// served after the flush. Clients that still have files open get errors from then on.
    pub fn end(self) {
        drop(self.for_the_end);
        self.disks.end_traces();
        self.disks.clear();
        unmount(&self.mount_point);
        self.loops.close();
        self.disks.end();
        drop(self.lock);
    }
}

/// What names this server in the list of mounts.
pub(super) fn own_source() -> String {
    let number = std::process::id().to_string();
    Mount::source(server_lock::own_key().unwrap_or(&number))
}

fn unmount(mount_point: &Path) {
    let ours = || {
        let mount = mounts::find(mount_point).ok().flatten();
        mount.is_some_and(|mount| mount.is_own())
    };
    // Another mount may already lie in this place: only ever take away our own.
    wait_until(CLOSING, || {
        !ours() || mounts::unmount(mount_point, false).is_ok()
    });
    if ours() {
        let _ = mounts::unmount(mount_point, true);
    }
}

/// Whether this user may start `threads` threads more: of those that fuser starts in a thread of its
/// own it does not say whether they run.
fn can_start(threads: usize) -> bool {
    let (end, wait) = bounded::<()>(0);
    let start = |_| {
        let wait = wait.clone();
        std::thread::Builder::new().spawn(move || {
            let _ = wait.recv();
        })
    };
    let started: Vec<_> = (0..threads).map_while(|n| start(n).ok()).collect();
    let all = started.len() == threads;
    drop(end);
    started.into_iter().for_each(|thread| drop(thread.join()));
    all
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn config(allow_other: bool, threads: usize, source: &str) -> Config {
    let mut config = Config::default();
    let subtype = FS_TYPE.trim_start_matches("fuse.");
    config.mount_options = vec![
        MountOption::FSName(source.to_owned()),
        // As a raw option: fuser passes `Subtype` to fusermount3 only, and not to the kernel.
        MountOption::CUSTOM(format!("subtype={subtype}")),
        MountOption::DefaultPermissions,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
    ];
    if allow_other {
        config.acl = SessionACL::All;
    }
    config.n_threads = Some(threads);
    config.clone_fd = true;
    config
}
