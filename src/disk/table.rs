//! The disks of a mount: attaching, detaching, finding.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::device::Disk;
use super::path::{Delays, MOST_HELD};
use super::pool::Pool;
use super::power::mains::Mains;
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::{BadId, valid_id};
use crate::protocol::{DiskEvent, Errno};
use crate::storage::{FileImage, Image, OpenError};

/// Why a disk was not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Not a name for a disk.
    #[error(transparent)]
    BadId(#[from] BadId),
    /// A path that the control files could not show as one line of text.
    #[error("image path {0:?} holds a newline or is not UTF-8: give the image a path without")]
    BadPath(PathBuf),
    /// The name is taken.
    #[error("disk `{0}` is attached already: choose another ID, or detach it first")]
    Duplicate(String),
    /// The image cannot be served.
    #[error(transparent)]
    Image(#[from] OpenError),
}

impl AttachError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::BadId(_) | Self::BadPath(_) => libc::EINVAL,
            Self::Duplicate(_) => libc::EEXIST,
            Self::Image(error) => error.errno(),
        }
    }
}

/// Why a disk was not detached.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// There is none of that name.
    #[error("no disk `{id}` (attached: {attached})")]
    Unknown {
        /// What was asked for.
        id: String,
        /// What there is.
        attached: String,
    },
    /// It is in use.
    #[error("disk `{id}` is in use: {open} open file(s); close them first")]
    Busy {
        /// What was asked for.
        id: String,
        /// How many clients hold it open.
        open: usize,
    },
    /// What is pending cannot be made durable.
    #[error("disk `{id}` stays attached: its pending data cannot be made durable: {errno}")]
    Storage {
        /// What was asked for.
        id: String,
        /// What the host said.
        errno: Errno,
    },
}

impl DetachError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unknown { .. } => libc::ENOENT,
            Self::Busy { .. } => libc::EBUSY,
            Self::Storage { errno, .. } => errno.0,
        }
    }
}

/// The kernel tells of a close after the close has returned: how long a detach waits for that.
const CLOSING: Duration = Duration::from_millis(200);

/// A disk in a snapshot of the list, without a share in it.
pub struct DiskRef {
    list: Guard<Arc<Vec<Option<Arc<Disk>>>>>,
    index: usize,
}

impl Deref for DiskRef {
    type Target = Arc<Disk>;

    #[inline]
    fn deref(&self) -> &Arc<Disk> {
        let disk = self.list[self.index].as_ref();
        disk.expect("it was there when the snapshot was taken")
    }
}

/// Every disk of a mount, each at an index that is never given to another.
///
/// Readers take a snapshot; a thread that changes the list holds `changing`.
pub struct Disks {
    list: ArcSwap<Vec<Option<Arc<Disk>>>>,
    changing: Mutex<()>,
    delays: Arc<Delays>,
    pool: Arc<Pool>,
    pub(super) mains: Arc<Mains<Disk>>,
}

impl Disks {
    /// No disks yet.
    pub fn start() -> io::Result<Self> {
        Self::with_memory(MOST_HELD)
    }

    /// No disks yet, and so much memory for what is held and pending, in bytes.
    pub fn with_memory(memory: u64) -> io::Result<Self> {
        let pool = Arc::new(Pool::default());
        Ok(Self {
            list: ArcSwap::default(),
            changing: Mutex::default(),
            delays: Arc::new(Delays::with_memory(Arc::clone(&pool), memory)?),
            pool,
            mains: Arc::default(),
        })
    }

    /// Threads for work that must not block the caller.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The disk at `index` as of now, without a share in it; None when it was detached.
    #[inline]
    pub fn disk_ref(&self, index: usize) -> Option<DiskRef> {
        let list = self.list.load();
        list.get(index)?
            .is_some()
            .then_some(DiskRef { list, index })
    }

    /// The disk at `index`; None when it was detached.
    pub fn at(&self, index: usize) -> Option<Arc<Disk>> {
        self.list.load().get(index)?.clone()
    }

    /// All disks with their indices, in the order in which they were attached.
    pub fn all(&self) -> Vec<(usize, Arc<Disk>)> {
        let list = self.list.load();
        let present = list.iter().enumerate();
        present
            .filter_map(|(at, disk)| Some((at, disk.clone()?)))
            .collect()
    }

    /// The disk called `id`, with its index.
    pub fn find(&self, id: &str) -> Option<(usize, Arc<Disk>)> {
        self.all().into_iter().find(|(_, disk)| disk.id() == id)
    }

    /// Serves the image at `path` as `id`.
    pub fn attach(&self, id: &str, path: &Path, options: DiskOptions) -> Result<(), AttachError> {
        if !valid_id(id) {
            return Err(BadId(id.to_owned()).into());
        }
        must_be_a_line(path)?;
        self.must_be_free(id)?;
        // Opened before the list is locked: storage may take its time.
        let image = Arc::new(FileImage::open(path, options.read_only)?);
        must_be_a_line(image.path())?;
        let path = image.path().to_owned();
        let disk = Disk::new(id, &path, image, Arc::clone(&self.delays));
        disk.image.set_mode(options.cache);
        self.add(disk.of_fixed_size(options.fixed))?;
        let (access, words) = (options.access(), options.without_access().words(' '));
        info!("{id}: attached {} {access}{words}", path.display());
        Ok(())
    }

    /// Serves `image` as `id`, which may be any file name; `path` is what people are told of it.
    pub fn attach_image(
        &self,
        id: &str,
        path: &Path,
        image: Arc<dyn Image>,
    ) -> Result<(), AttachError> {
        let disk = Disk::new(id, path, image, Arc::clone(&self.delays));
        self.add(disk.of_fixed_size(true))
    }

    fn add(&self, disk: Disk) -> Result<(), AttachError> {
        let (mains, id) = (Arc::clone(&self.mains), disk.id().to_owned());
        disk.log
            .when_stopped(move |why| mains.tell(&id, DiskEvent::LogStopped(why)));
        let _one_at_a_time = self.changing.lock();
        self.must_be_free(disk.id())?;
        let mut list = Vec::clone(&self.list.load());
        let disk = Arc::new(disk.on(&self.mains));
        self.mains.add(list.len(), &disk);
        list.push(Some(disk));
        self.list.store(Arc::new(list));
        Ok(())
    }

    fn must_be_free(&self, id: &str) -> Result<(), AttachError> {
        match self.find(id) {
            Some(_) => Err(AttachError::Duplicate(id.to_owned())),
            None => Ok(()),
        }
    }

    /// Takes the disk called `id` away, flushes its image and unlocks it.
    ///
    /// Waits up to [`CLOSING`] for clients that are just closing: not for a loop thread.
    pub fn detach(&self, id: &str) -> Result<(), DetachError> {
        self.settle_pending_of(id)?;
        let deadline = Instant::now() + CLOSING;
        loop {
            match self.try_detach(id) {
                Err(DetachError::Busy { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                result => return result,
            }
        }
    }

    /// Makes what is pending on the disk durable while it can still stay attached.
    fn settle_pending_of(&self, id: &str) -> Result<(), DetachError> {
        let disk = self.find(id).map(|(_, disk)| disk);
        let unused = disk.filter(|disk| disk.open_count() == 0);
        let settled = unused.map_or(Ok(()), |disk| disk.settle_pending());
        settled.map_err(|errno| DetachError::Storage {
            id: id.to_owned(),
            errno,
        })
    }

    fn try_detach(&self, id: &str) -> Result<(), DetachError> {
        let changing = self.changing.lock();
        let Some((index, disk)) = self.find(id) else {
            return Err(DetachError::Unknown {
                id: id.to_owned(),
                attached: self.names(),
            });
        };
        if !disk.try_detach() {
            return Err(DetachError::Busy {
                id: id.to_owned(),
                open: disk.open_count(),
            });
        }
        let mut list = Vec::clone(&self.list.load());
        list[index] = None;
        self.list.store(Arc::new(list));
        drop(changing);
        disk.trace().end();
        flush(&disk);
        info!("{id}: detached");
        disk.end_log();
        // The image is unlocked when the last request that only looked at the disk is over.
        let deadline = Instant::now() + CLOSING;
        while Arc::strong_count(&disk) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn names(&self) -> String {
        let names: Vec<_> = self
            .all()
            .iter()
            .map(|(_, disk)| disk.id().to_owned())
            .collect();
        if names.is_empty() {
            return "none".into();
        }
        names.join(", ")
    }

    /// All disks with their sizes, in the order in which they were attached. Where the storage does
    /// not answer soon it is the size that was known last; None where the host cannot tell.
    pub fn sizes(&self) -> Vec<(Arc<Disk>, Option<u64>)> {
        let disks = self.all().into_iter().map(|(_, disk)| disk);
        // All are asked before any is waited for.
        let asked: Vec<_> = disks.map(|disk| (disk.ask(), disk)).collect();
        let sizes = asked.into_iter().map(|(question, disk)| {
            let stat = disk.wait_for(&question);
            (disk, stat.ok().map(|stat| stat.size))
        });
        sizes.collect()
    }

    /// Has loop threads leave the requests of disks to the pool where one of them is stuck.
    pub fn look_for_stuck(&self) {
        for disk in self.list.load().iter().flatten() {
            disk.look_for_stuck();
        }
    }

    /// Every listener of a disk finds the end.
    pub fn end_traces(&self) {
        for (_, disk) in self.all() {
            disk.trace().end();
        }
        self.events().end();
    }

    /// Clears the faults of all disks; every waiting request goes on.
    pub fn clear(&self) {
        for (_, disk) in self.all() {
            disk.clear();
        }
    }

    /// The end: lets waiting requests go, finishes those that have begun, answers late ones with EIO,
    /// flushes the images, ends the logs. No disk's flush waits for another one's storage.
    pub fn end(&self) {
        self.clear();
        self.delays.end();
        self.pool.end();
        let flushing = Pool::default();
        for (_, disk) in self.all() {
            flushing.run(disk.owner(), move || {
                flush(&disk);
                disk.end_log();
            });
        }
        flushing.end();
    }
}

/// Control files show the path as a line of text.
fn must_be_a_line(path: &Path) -> Result<(), AttachError> {
    match path.to_str() {
        Some(line) if !line.contains('\n') => Ok(()),
        _ => Err(AttachError::BadPath(path.to_owned())),
    }
}

/// Best effort: a host that cannot flush any more has told the writers so already.
fn flush(disk: &Disk) {
    if !disk.is_read_only() {
        if let Err(errno) = disk.settle_pending() {
            warn!("{}: pending data are lost: {errno}", disk.id());
        }
        if let Err(error) = disk.image.below.flush(false) {
            warn!("{}: the image cannot be flushed: {error}", disk.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_comes_and_goes_and_its_index_is_not_reused() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let disks = Disks::start().unwrap();
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        assert_eq!(disks.find("vda").unwrap().0, 0);
        disks.detach("vda").unwrap();
        assert!(disks.at(0).is_none());
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        assert_eq!(disks.find("vda").unwrap().0, 1);
    }

    #[test]
    fn disk_that_is_open_stays_and_says_how_many_clients_hold_it() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let disks = Disks::start().unwrap();
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        let (_, disk) = disks.find("vda").unwrap();
        let client = disk.open().unwrap();
        let error = disks.detach("vda").unwrap_err();
        assert!(error.to_string().contains("1 open file"), "{error}");
        disk.close(client);
        disks.detach("vda").unwrap();
        let refused = disk.open().unwrap_err();
        assert_eq!(refused.0, libc::ENOENT, "a detached disk cannot be opened");
    }
}
