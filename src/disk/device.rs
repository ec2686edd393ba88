//! The parts of a served disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::cache::CachedImage;
use super::checkpoint::list::Checkpoints;
use super::client_table::Clients;
use super::log::DiskLog;
use super::observe::in_flight::InFlightTable;
use super::observe::{
    Counters, DamageList, Decisions, Deferred, DurabilityCounters, HostErrors, Trace,
};
use super::path::Delays;
use super::path::own_time::OwnTimes;
use super::path::settling::Settling;
use super::path::snapshots::Snapshots;
use super::path::strain::Strains;
use super::pool::{Owner, Work};
use super::power::mains::Mains;
use super::power::state::Power;
use super::range_lock::RangeLock;
use super::rule_sets::RuleSets;
use super::sizes::{ImageStat, Sizes};
use crate::protocol::disk_options::{DiskOptions, Scratch};
use crate::storage::{Image, LayeredImage};

/// One served disk.
///
/// Each part has its own lock, or is atomic or fixed. The image is the disk's alone: front ends and
/// control files ask the disk.
pub struct Disk {
    id: String,
    /// The number under which the pool knows its jobs.
    pub(super) owner: Owner,
    path: PathBuf,
    pub(super) image: Arc<CachedImage>,
    pub(super) power: Power,
    pub(super) mains: Arc<Mains<Self>>,
    pub(super) durability: DurabilityCounters,
    pub(super) read_only: bool,
    /// It does not grow.
    pub(super) fixed: bool,
    scratch: Scratch,
    /// Others may have its image too.
    pub(super) shares: bool,
    pub(super) rules: RuleSets,
    pub(super) clients: Mutex<Clients>,
    pub(super) counters: Counters,
    pub(super) host_errors: HostErrors,
    pub(super) serving: InFlightTable,
    pub(super) deferred: Arc<Deferred>,
    /// Shared by requests from the look at their rules until they wait.
    pub(super) looking: RwLock<()>,
    pub(super) delays: Arc<Delays>,
    pub(super) snapshots: Snapshots,
    pub(super) damage: Arc<DamageList>,
    pub(super) trace: Trace,
    pub(super) decisions: Decisions,
    pub(super) sizes: Sizes,
    pub(super) strain: Strains,
    pub(super) own_times: OwnTimes,
    pub(super) settling: Settling,
    pub(super) checkpoints: Checkpoints,
    pub(super) log: DiskLog,
    /// The ranges that change one after the other: for the log, and where pending data become durable.
    pub(super) ranges: Arc<RangeLock>,
    attached: Instant,
}

impl Disk {
    /// A disk without faults. Requests that have to wait do so in `delays`.
    pub fn new(id: &str, path: &Path, image: LayeredImage, delays: Arc<Delays>) -> Self {
        let owner = delays.pool().new_owner();
        let read_only = image.read_only();
        let image = Arc::new(CachedImage::new(image, delays.memory().clone()));
        let pool = Arc::clone(&delays);
        let run = move |work: Work| pool.pool().run(owner, work);
        let ranges = RangeLock::new(run);
        Self {
            id: id.to_owned(),
            owner,
            power: Power::default(),
            mains: Arc::default(),
            durability: DurabilityCounters::default(),
            path: path.to_owned(),
            read_only,
            fixed: false,
            scratch: Scratch::No,
            shares: false,
            rules: RuleSets::default(),
            clients: Mutex::default(),
            counters: Counters::default(),
            host_errors: HostErrors::default(),
            serving: InFlightTable::default(),
            deferred: Arc::default(),
            looking: RwLock::default(),
            snapshots: Snapshots::new(Arc::<CachedImage>::clone(&image), delays.memory().clone()),
            delays,
            damage: Arc::default(),
            trace: Trace::default(),
            decisions: Decisions::default(),
            sizes: Sizes::new(ImageStat::of(&*image).unwrap_or_default()),
            strain: Strains::default(),
            own_times: OwnTimes::default(),
            settling: Settling::default(),
            checkpoints: Checkpoints::default(),
            log: DiskLog::default(),
            ranges: Arc::new(ranges),
            image,
            attached: Instant::now(),
        }
    }

    /// The same disk, served with `options`.
    #[must_use]
    pub(super) fn with_options(self, options: DiskOptions) -> Self {
        self.image.set_mode(options.cache);
        Self {
            read_only: self.read_only || options.read_only,
            fixed: options.fixed,
            scratch: options.scratch,
            shares: options.share,
            ..self
        }
    }

    /// The same disk, whose power can be cut with that of all others of `mains`.
    #[must_use]
    pub(super) fn on(self, mains: &Arc<Mains<Self>>) -> Self {
        let mains = Arc::clone(mains);
        Self { mains, ..self }
    }

    /// How it is served.
    pub fn options(&self) -> DiskOptions {
        DiskOptions {
            read_only: self.read_only,
            fixed: self.fixed,
            cache: self.cache_mode(),
            scratch: self.scratch,
            share: self.shares,
        }
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The name under which it is served.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path of its image on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number under which the pool knows its jobs.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The stream of its answered requests.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The stream of the rules that act.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// Ends both streams: every reader finds the end.
    pub(super) fn end_streams(&self) {
        self.trace.end();
        self.decisions.end();
    }

    /// Counters of its requests so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The damage that rules did to the image, for good.
    pub fn damage(&self) -> &Arc<DamageList> {
        &self.damage
    }

    /// The time as its faults count it: since it was attached.
    pub(super) fn now(&self) -> Duration {
        self.attached.elapsed()
    }
}
