//! The FUSE connection of a mount: the threads that serve it, how the kernel mounts it, and their end.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use fuser::{BackgroundSession, Config, MountOption, SessionACL};

use super::attr::{Access, Attributes};
use super::cache::PageCache;
use super::handles::Handles;
use super::loops::Loops;
use super::provium::Provium;
use super::tree::Tree;
use crate::control::Control;
use crate::disk::{Disks, Pool};
use crate::os::sys;
use crate::protocol::names::FS_TYPE;

/// Most threads for control files.
const CONTROL_THREADS: usize = 12;

/// Everything that serves a mount which does not exist yet.
pub struct FrontEnd {
    disks: Arc<Disks>,
    control_pool: Pool,
    loops: Arc<Loops>,
    access: Access,
}

/// A mount that answers.
pub struct Session {
    /// Never dropped: fuser would unmount whatever lies at the mount point by then, ours or not.
    _session: ManuallyDrop<BackgroundSession>,
    loops: Arc<Loops>,
}

impl FrontEnd {
    /// Starts the threads for the control files of `disks`. `access` says who may open
    /// the data files.
    pub fn start(disks: Arc<Disks>, access: Access) -> io::Result<Self> {
        let control_pool = Pool::new(CONTROL_THREADS);
        control_pool.begin()?;
        Ok(Self {
            disks,
            control_pool,
            loops: Loops::start()?,
            access,
        })
    }

    /// How many loop threads [`mount`](Self::mount) starts.
    pub fn threads(&self) -> usize {
        self.loops.threads()
    }

    /// Mounts at `mount_point`, and starts to serve. The table of mounts then names `source`.
    pub fn mount(self, mount_point: &Path, source: &str) -> io::Result<Session> {
        let Self { disks, loops, .. } = self;
        let cache = Arc::new(PageCache::default());
        let pages = Arc::clone(&cache);
        disks.on_power_cut(move |disk| pages.drop_all(disk));
        let tree = Tree {
            control: Control::new(Arc::clone(&disks)),
            handles: Handles::default(),
            attributes: Attributes::new(self.access),
            loops: Arc::clone(&loops),
            cache: Arc::clone(&cache),
            streams: Arc::default(),
            control_pool: self.control_pool,
            disks: Arc::clone(&disks),
        };
        let config = config(self.access.allow_other, loops.threads(), source);
        let session = fuser::Session::new(Provium::new(tree), mount_point, &config)?;
        loops.end_at_panics();
        loops.on_stuck(move || disks.look_for_stuck());
        let device = session.as_fd().try_clone_to_owned()?;
        cache.notify_through(sys::clone_fuse_device(&device)?);
        loops.poll_at(device);
        Ok(Session {
            _session: ManuallyDrop::new(session.spawn()?),
            loops,
        })
    }
}

impl Session {
    /// Disconnects when the mount is gone.
    pub fn unmounted(&self) -> &Receiver<()> {
        self.loops.over()
    }

    /// Has the loop threads leave all work to the pools from now on. Returns once no loop thread is busy,
    /// which may take as long as the storage takes.
    pub fn close(&self) {
        self.loops.close();
    }
}

/// The options that the kernel gets.
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
