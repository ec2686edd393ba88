//! A disk: one image, its faults, and every request between arrival and answer.
//!
//! Order of a request: look at the faults; wait, if they say so; look again; do the I/O; look once
//! more; answer. The fault set is swapped whole, so each look sees one state of it.

#[cfg(test)]
mod data_tests;
mod extents;
mod observe;
mod path;
mod pool;
mod stat;
mod table;
#[cfg(test)]
mod tests;

pub use observe::{Counters, DamageList, InFlight, Listener, OpCounters, Trace, Wake};
pub use path::{Answer, Delays, MOST_HELD, Reply, Request, Synced};
pub use pool::{Owner, Pool};
pub use stat::ImageStat;
pub use table::{AttachError, DetachError, Disks};

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::fault::{Action, Armed, Arming, DiskKind, Edit, FaultSet, IoRange, NoSuchTag, Op, Then};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::{Errno, Remark, RuleLine, Switch};
use crate::storage::{Image, with_buffer};
use observe::in_flight::Serving;
use path::delays::Held;
use path::settling::Settling;
use path::snapshots::Snapshots;
use path::strain::{STUCK, Strain};
use stat::Questions;

/// Bytes of the longest request. The kernel splits what is longer; its own bound is 256 pages unless
/// set otherwise.
pub const LARGEST_REQUEST: u32 = 1 << 20;

/// Gets the buffer of this thread ready, so that its first read waits for no memory.
fn prepare_thread() {
    with_buffer(LARGEST_REQUEST as usize, |_| ());
}

/// One served disk.
///
/// Owners: both fault sets belong to whoever holds `arming` and are read by all through the
/// snapshot; `clients` is the open handles; everything else is atomic or fixed.
pub struct Disk {
    id: String,
    /// Under which the pool knows its jobs.
    owner: Owner,
    path: PathBuf,
    image: Arc<dyn Image>,
    /// It does not grow.
    fixed: bool,
    /// What is armed.
    faults: ArcSwap<FaultSet>,
    /// What requests meet: `faults`, or nothing while the rules are off.
    acting: ArcSwap<FaultSet>,
    /// Changes with `acting`, after it: who finds it as it was need not look at them again. 0 while
    /// nothing is armed and never was.
    faults_swapped: AtomicU64,
    /// Held while a new fault set is computed and swapped in, so that no edit is lost.
    arming: Mutex<Switch>,
    clients: Mutex<Clients>,
    counters: Counters,
    serving: Serving,
    delays: Arc<Delays>,
    snapshots: Snapshots,
    damage: Arc<DamageList>,
    seed: AtomicU64,
    rules_armed: AtomicU64,
    trace: Trace,
    questions: Questions,
    strain: Strain,
    long_strain: Strain,
    settling: Settling,
    born: Instant,
}

/// The open handles of a disk, each with the number of errors that were injected through it.
#[derive(Default)]
struct Clients {
    injected: HashMap<u64, u64>,
    /// Those whose requests are a test's own.
    tests: HashSet<u64>,
    last: u64,
    detached: bool,
    /// The image was left to others, until somebody opens the disk again.
    unlocked: bool,
}

impl Clients {
    /// Locks the image again if it was left to others.
    fn claim(&mut self, image: &dyn Image) -> Result<(), Errno> {
        if self.unlocked && !image.lock().map_err(|error| Errno::of(&error))? {
            return Err(Errno(libc::EBUSY));
        }
        self.unlocked = false;
        Ok(())
    }
}

impl Disk {
    /// A disk without faults. Requests that have to wait do so in `delays`.
    pub fn new(id: &str, path: &Path, image: Arc<dyn Image>, delays: Arc<Delays>) -> Self {
        Self {
            id: id.to_owned(),
            owner: delays.pool().new_owner(),
            path: path.to_owned(),
            fixed: false,
            faults: ArcSwap::default(),
            acting: ArcSwap::default(),
            faults_swapped: AtomicU64::new(0),
            arming: Mutex::default(),
            clients: Mutex::default(),
            counters: Counters::default(),
            serving: Serving::default(),
            delays,
            snapshots: Snapshots::default(),
            damage: Arc::default(),
            seed: AtomicU64::new(u64::from(fastrand::u32(..))),
            rules_armed: AtomicU64::new(0),
            trace: Trace::default(),
            questions: Questions::new(ImageStat::of(&*image).unwrap_or_default()),
            strain: Strain::default(),
            long_strain: Strain::default(),
            settling: Settling::default(),
            image,
            born: Instant::now(),
        }
    }

    /// The same disk, which does not grow if it is `fixed`.
    #[must_use]
    pub fn of_fixed_size(self, fixed: bool) -> Self {
        Self { fixed, ..self }
    }

    /// How it is served.
    pub fn options(&self) -> DiskOptions {
        DiskOptions {
            read_only: self.image.read_only(),
            fixed: self.fixed,
        }
    }

    /// The name under which it is served.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its image lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The storage behind it, for questions about size and extents.
    pub fn image(&self) -> &dyn Image {
        &*self.image
    }

    /// Under which the pool knows its jobs.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The size now, in bytes. Asks the host, and takes as long as that takes.
    pub fn size(&self) -> std::io::Result<u64> {
        let size = self.image.size()?;
        self.questions.learn_size(size);
        Ok(size)
    }

    /// Size and blocks now. Asks the host, and takes as long as that takes.
    pub fn stat(&self) -> std::io::Result<ImageStat> {
        let stat = ImageStat::of(&*self.image)?;
        self.questions.learn_size(stat.size);
        Ok(stat)
    }

    /// The size as it was known last, in bytes.
    pub fn known_size(&self) -> u64 {
        self.questions.known_size()
    }

    /// Has loop threads leave its requests to the pool if one of them is stuck.
    pub fn look_for_stuck(&self) {
        for request in self.serving.list() {
            if request.age >= STUCK {
                self.strain(request.ask.op).begin();
            }
        }
    }

    /// That of requests like `op`: many a storage is slow to flush and quick to read and write.
    fn strain(&self, op: Op) -> &Strain {
        match op {
            Op::Read | Op::Write => &self.strain,
            Op::Flush | Op::Discard | Op::Zero => &self.long_strain,
        }
    }

    /// A file whose last close clears the set was closed, perhaps for the last time.
    pub fn expect_clear(&self) {
        self.settling.expect();
    }

    /// It was the last close: the set is about to be cleared.
    pub fn begin_clear(&self) {
        self.settling.begin();
    }

    /// What follows from the closes so far has been done.
    pub fn settled(&self) {
        self.settling.settled();
    }

    /// Whether [`settle`](Self::settle) would wait.
    pub fn is_settling(&self) -> bool {
        self.settling.is_expected()
    }

    /// Waits until what follows from the closes so far has been done.
    pub fn settle(&self) {
        self.settling.wait();
    }

    /// The armed rules and what they have done, oldest first. Asks nobody for anything.
    pub fn rules(&self) -> Vec<RuleLine> {
        let (faults, now) = (self.faults.load(), self.now());
        let kind = DiskKind {
            size: self.known_size(),
            read_only: self.image.read_only(),
            longest: u64::from(LARGEST_REQUEST),
        };
        let armed = faults.armed().iter().zip(faults.remarks(kind));
        armed
            .map(|(armed, remark)| armed.line(now, remark.or_else(|| self.note(armed))))
            .collect()
    }

    fn note(&self, armed: &Armed) -> Option<Remark> {
        let is_full = armed.rule.action == Action::Stale && self.snapshots.is_full(armed);
        is_full.then(|| {
            Remark::Note(format!(
                "the {} GiB that may wait in memory are full: what would change more of its sectors fails with ENOMEM",
                MOST_HELD >> 30
            ))
        })
    }

    /// Whoever listens to it.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The armed faults, as of now.
    pub fn faults(&self) -> Arc<FaultSet> {
        self.faults.load_full()
    }

    /// Edits the armed set, or with `replace` an empty one. Requests that arrive after this
    /// returns see the result; those that wait for a rule that is no more go on.
    pub fn arm(&self, edits: &[Edit], replace: bool) -> Result<(), NoSuchTag> {
        let switch = self.arming.lock();
        let old = self.faults.load_full();
        let empty = FaultSet::default();
        let base = if replace { &empty } else { &*old };
        let arming = Arming {
            now: self.now(),
            seed: self.seed.load(Ordering::SeqCst),
            first_id: self.rules_armed.load(Ordering::SeqCst),
        };
        self.rules_armed
            .fetch_add(edits.len() as u64, Ordering::SeqCst);
        let new = Arc::new(base.edited(edits, arming)?);
        // Before any read is told to find it: what is overwritten from now on is kept.
        self.snapshots.keep_for(&new, &self.delays);
        self.faults.store(new);
        self.have_act(*switch);
        drop(switch);
        self.release_unarmed();
        Ok(())
    }

    fn have_act(&self, switch: Switch) {
        self.acting.store(match switch {
            Switch::On => self.faults.load_full(),
            Switch::Off => Arc::default(),
        });
        self.faults_swapped.fetch_add(1, Ordering::SeqCst);
    }

    /// Switches all rules off, those that are armed later included, or on again. What waits goes on
    /// waiting.
    pub fn switch_rules(&self, to: Switch) {
        let mut switch = self.arming.lock();
        *switch = to;
        self.have_act(to);
    }

    /// Whether the rules are on.
    pub fn rules_switch(&self) -> Switch {
        *self.arming.lock()
    }

    /// Lets go on what waits for rules of which none is armed any more.
    fn release_unarmed(&self) {
        let faults = self.faults.load();
        let is_over = |held: &Held| held.rules.iter().all(|rule| !faults.has(rule.id));
        self.delays.release(self.owner, Then::Ok, is_over);
    }

    /// Lets the requests go on that a `hang` holds: all, or those that wait for a rule with this
    /// tag. Returns how many; None when nothing has the tag.
    pub fn release(&self, tag: Option<&str>, then: Then) -> Option<usize> {
        self.let_go(tag, then, |held| held.is_hang)
    }

    /// Drops the requests that wait, delayed ones too: they fail with EIO and are not done. For all,
    /// or those that wait for a rule with this tag. Returns as [`release`](Self::release).
    pub fn drop_waiting(&self, tag: Option<&str>) -> Option<usize> {
        self.let_go(tag, Then::Error(Errno(libc::EIO)), |_| true)
    }

    fn let_go(
        &self,
        tag: Option<&str>,
        then: Then,
        chosen: impl Fn(&Held) -> bool,
    ) -> Option<usize> {
        let has_tag = |armed: &Armed| tag.is_none() || armed.rule.tag.as_deref() == tag;
        let held = |held: &Held| chosen(held) && held.rules.iter().any(|armed| has_tag(armed));
        let released = self.delays.release(self.owner, then, held);
        let is_known = |tag| self.faults.load().has_tag(tag);
        (released > 0 || tag.is_none_or(is_known)).then_some(released)
    }

    /// Where random numbers begin that no rule says; for rules that are armed from now on.
    pub fn seed(&self) -> u64 {
        self.seed.load(Ordering::SeqCst)
    }

    /// Sets [`seed`](Self::seed).
    pub fn set_seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::SeqCst);
    }

    /// What rules did to the image, and will stay.
    pub fn damage(&self) -> &Arc<DamageList> {
        &self.damage
    }

    /// The time as its faults count it.
    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// Changes whenever the rules that requests meet do, after it.
    pub fn rules_changed(&self) -> u64 {
        self.faults_swapped.load(Ordering::SeqCst)
    }

    /// Whether there is a rule for such a request, whatever else it asks for.
    pub fn has_rule_for(&self, op: Op, offset: u64, len: u64) -> bool {
        self.rules_changed() != 0 && self.acting.load().concerns(IoRange { op, offset, len })
    }

    /// Takes all faults away and lets every waiting request go on at once.
    pub fn clear(&self) {
        // Cannot fail: there is no edit.
        let _ = self.arm(&[], true);
    }

    /// A new client. Its number is never used again. ENOENT when the disk has been detached, EBUSY
    /// when its image was left to others and somebody has it.
    pub fn open(&self) -> Result<u64, Errno> {
        let mut clients = self.clients.lock();
        if clients.detached {
            return Err(Errno(libc::ENOENT));
        }
        clients.claim(&*self.image)?;
        clients.last += 1;
        let client = clients.last;
        clients.injected.insert(client, 0);
        Ok(client)
    }

    /// Locks the image again if it was left to others; EBUSY when somebody has it.
    pub fn claim_image(&self) -> Result<(), Errno> {
        self.clients.lock().claim(&*self.image)
    }

    /// Leaves the image to others until somebody opens the disk again; EBUSY while somebody has it
    /// open.
    pub fn unlock_image(&self) -> Result<(), Errno> {
        let mut clients = self.clients.lock();
        if !clients.injected.is_empty() {
            return Err(Errno(libc::EBUSY));
        }
        self.image.unlock().map_err(|error| Errno::of(&error))?;
        clients.unlocked = true;
        Ok(())
    }

    /// Ends what [`open`](Self::open) began.
    pub fn close(&self, client: u64) {
        let mut clients = self.clients.lock();
        clients.injected.remove(&client);
        clients.tests.remove(&client);
    }

    /// Rules with `from=guest` pass the requests of `client` by from now on: they are a test's own.
    pub fn set_test(&self, client: u64) {
        self.clients.lock().tests.insert(client);
    }

    fn is_test(&self, client: u64) -> bool {
        self.clients.lock().tests.contains(&client)
    }

    /// How many clients hold the disk open.
    pub fn open_count(&self) -> usize {
        self.clients.lock().injected.len()
    }

    /// How many errors were injected into requests of `client`: what tells an injected EIO from
    /// one of the host.
    pub fn injected_errors(&self, client: u64) -> u64 {
        let clients = self.clients.lock();
        clients.injected.get(&client).copied().unwrap_or(0)
    }

    /// Bars new clients; false, and nothing changes, while there are some.
    fn try_detach(&self) -> bool {
        let mut clients = self.clients.lock();
        clients.detached = clients.injected.is_empty();
        clients.detached
    }

    /// How many bytes wait in memory, of all disks of the server: at most [`MOST_HELD`].
    pub fn held_bytes(&self) -> u64 {
        self.delays.held_bytes()
    }

    /// How many requests have arrived and are not answered.
    pub fn in_flight_count(&self) -> usize {
        self.delays.count(self.owner)
            + self.delays.pool().waiting_count(self.owner)
            + self.serving.list().len()
    }

    /// Every request that has arrived and is not answered, longest waiting first.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let mut all = self.delays.list(self.owner);
        let waiting = self.delays.pool().waiting(self.owner).into_iter();
        all.extend(waiting.map(|(ask, arrived)| InFlight {
            ask,
            age: arrived.elapsed(),
            rules: Vec::new(),
        }));
        all.extend(self.serving.list());
        all.sort_by_key(|request| std::cmp::Reverse(request.age));
        all
    }
}
