//! The disks of a mount: attaching, detaching, finding.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::device::Disk;
use super::path::{Delays, MOST_HELD};
use super::pool::Pool;
use super::power::mains::Mains;
use super::table_error::{AttachError, DetachError};
use crate::protocol::DiskEvent;
use crate::protocol::disk_options::{DiskOptions, Scratch};
use crate::protocol::names::{BadId, valid_id};
use crate::storage::{FileImage, Image, LayerFolder, LayeredImage};

/// The kernel tells of a close after the close has returned: how long a detach waits for that.
const CLOSING: Duration = Duration::from_secs(1);
/// How long it waits for those that only look at the disk.
const LOOKING: Duration = Duration::from_secs(5);

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
    layers: Arc<LayerFolder>,
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
            layers: Arc::new(LayerFolder::open()),
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
        if let Some(why) = options.contradiction() {
            return Err(AttachError::Contradiction(why));
        }
        let image = match options.share {
            true => FileImage::open_shared(path, options.spares_image())?,
            false => FileImage::open(path, options.spares_image())?,
        };
        must_be_a_line(image.path())?;
        let path = image.path().to_owned();
        let image = self.layered(Arc::new(image), options)?;
        let disk = Disk::new(id, &path, image, Arc::clone(&self.delays));
        self.add(disk.with_options(options))?;
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
        let options = DiskOptions {
            fixed: true,
            ..DiskOptions::default()
        };
        let image = self.layered(image, options)?;
        let disk = Disk::new(id, path, image, Arc::clone(&self.delays));
        self.add(disk.with_options(options))
    }

    fn layered(
        &self,
        image: Arc<dyn Image>,
        options: DiskOptions,
    ) -> Result<LayeredImage, AttachError> {
        let folder = Arc::clone(&self.layers);
        let size = match options.scratch {
            Scratch::No => return Ok(LayeredImage::new(image, folder)),
            Scratch::Yes => None,
            Scratch::OfSize(size) => Some(size),
        };
        LayeredImage::scratch(image, folder, size).map_err(|cause| AttachError::Layer {
            folder: self.layers.path().to_owned(),
            cause,
        })
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

    /// Takes the disk called `id` away, puts all that it holds into its image, and unlocks that.
    ///
    /// Waits up to [`CLOSING`] for clients that are just closing: not for a loop thread.
    pub fn detach(&self, id: &str) -> Result<(), DetachError> {
        let deadline = Instant::now() + CLOSING;
        let (index, disk) = loop {
            match self.bar(id) {
                Err(DetachError::Busy { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                result => break result?,
            }
        };
        if let Err(why) = disk.save_all(true) {
            disk.readmit();
            let id = id.to_owned();
            return Err(DetachError::Unsaved { id, why });
        }
        self.remove(index);
        disk.end_streams();
        disk.flush_image();
        info!("{id}: detached");
        disk.end_log();
        // The image is unlocked when the last request that only looked at the disk is over.
        let deadline = Instant::now() + LOOKING;
        while Arc::strong_count(&disk) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Bars new clients from the disk called `id`, which none has open.
    fn bar(&self, id: &str) -> Result<(usize, Arc<Disk>), DetachError> {
        let Some((index, disk)) = self.find(id) else {
            return Err(DetachError::Unknown {
                id: id.to_owned(),
                attached: self.names(),
            });
        };
        match disk.try_detach() {
            true => Ok((index, disk)),
            false => Err(DetachError::Busy {
                id: id.to_owned(),
                open: disk.open_count(),
            }),
        }
    }

    fn remove(&self, index: usize) {
        let _one_at_a_time = self.changing.lock();
        let mut list = Vec::clone(&self.list.load());
        list[index] = None;
        self.list.store(Arc::new(list));
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
            disk.end_streams();
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
    /// puts into the images what the disks hold, flushes them, ends the logs. No disk waits for another one's storage.
    /// Returns a sentence for each disk whose image lacks something.
    pub fn end(&self) -> Vec<String> {
        self.clear();
        self.delays.end();
        self.pool.end();
        let (flushing, lost) = (Pool::default(), Arc::<Mutex<Vec<_>>>::default());
        for (_, disk) in self.all() {
            let lost = Arc::clone(&lost);
            flushing.run(disk.owner(), move || {
                if let Err(why) = disk.save_all(false) {
                    let why = format!("{}: data are lost: {why}", disk.id());
                    warn!("{why}");
                    lost.lock().push(why);
                }
                disk.flush_image();
                disk.end_log();
            });
        }
        flushing.end();
        std::mem::take(&mut lost.lock())
    }
}

/// Control files show the path as a line of text.
fn must_be_a_line(path: &Path) -> Result<(), AttachError> {
    match path.to_str() {
        Some(line) if !line.contains('\n') => Ok(()),
        _ => Err(AttachError::BadPath(path.to_owned())),
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
