//! A disk: one image, its faults, and every request between arrival and answer.
//!
//! Order of a request: look at the faults; wait, if they say so; look again; do the I/O; look once
//! more; answer. The fault set is swapped whole, so each look sees one state of it.

mod counters;
mod delays;
mod pool;
mod request;
mod serving;
mod table;
#[cfg(test)]
mod tests;

pub use counters::{Counters, OpCounters};
pub use delays::Delays;
pub use pool::Pool;
pub use request::{Answer, Reply, Request};
pub use serving::InFlight;
pub use table::{AttachError, DetachError, Disks};

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::fault::{Edit, Errno, FaultSet, Op};
use crate::image::Image;
use delays::Held;
use serving::{Serving, Visible};

/// Bytes in a sector, everywhere.
pub const SECTOR: u64 = 512;

/// Bytes of the longest request. The kernel splits what is longer; its own bound is 256 pages unless
/// set otherwise.
pub const LARGEST_REQUEST: u32 = 1 << 20;

thread_local! {
    /// Where a thread reads to, kept for its next request.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Gets the buffer of this thread ready, so that its first read waits for no memory.
fn prepare_thread() {
    // Not zeroes: those the kernel would only promise.
    BUFFER.with_borrow_mut(|buffer| buffer.resize(LARGEST_REQUEST as usize, 1));
}

/// One served disk.
///
/// Owners: the fault set belongs to whoever holds `arming` and is read by all through the
/// snapshot; `clients` is the open handles; everything else is atomic or fixed.
pub struct Disk {
    id: String,
    path: PathBuf,
    image: Arc<dyn Image>,
    faults: ArcSwap<FaultSet>,
    /// Held while a new fault set is computed and swapped in, so that no edit is lost.
    arming: Mutex<()>,
    clients: Mutex<Clients>,
    counters: Counters,
    serving: Serving,
    delays: Arc<Delays>,
    born: Instant,
}

/// The open handles of a disk, each with the number of errors that were injected through it.
#[derive(Default)]
struct Clients {
    injected: HashMap<u64, u64>,
    last: u64,
    detached: bool,
}

impl Disk {
    /// A disk without faults. Requests that have to wait do so in `delays`.
    pub fn new(id: &str, path: &Path, image: Arc<dyn Image>, delays: Arc<Delays>) -> Self {
        Self {
            id: id.to_owned(),
            path: path.to_owned(),
            image,
            faults: ArcSwap::default(),
            arming: Mutex::default(),
            clients: Mutex::default(),
            counters: Counters::default(),
            serving: Serving::default(),
            delays,
            born: Instant::now(),
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

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The armed faults, as of now.
    pub fn faults(&self) -> Arc<FaultSet> {
        self.faults.load_full()
    }

    /// Edits the armed set, or with `replace` an empty one. Requests that arrive after this
    /// returns see the result.
    pub fn arm(&self, edits: &[Edit], replace: bool) {
        let _one_at_a_time = self.arming.lock();
        let base = if replace {
            FaultSet::default()
        } else {
            FaultSet::clone(&self.faults.load())
        };
        self.faults.store(Arc::new(base.edited(edits, self.now())));
    }

    /// The time as its faults count it.
    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// Takes all faults away and lets every waiting request go on at once.
    pub fn clear(&self) {
        self.arm(&[], true);
        self.delays.release(&self.id);
    }

    /// Cuts or extends the image.
    pub fn set_len(&self, len: u64) -> std::io::Result<()> {
        if self.image.read_only() {
            return Err(Errno(libc::EROFS).into());
        }
        self.image.set_len(len)
    }

    /// Makes every sector read as zeros; the size stays, as a disk does not shrink. What opening
    /// with truncation does: cp relies on it and leaves out what is zero in its source.
    pub fn erase(&self) -> std::io::Result<()> {
        if let Some(errno) = self.error_for(Op::Zero) {
            return Err(errno.into());
        }
        let size = self.image.size()?;
        match self.image.discard(0, size) {
            _ if size == 0 => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.image.write_zeroes(0, size, true)
            }
            result => result,
        }
    }

    /// A new client; None when the disk has been detached. Its number is never used again.
    pub fn open(&self) -> Option<u64> {
        let mut clients = self.clients.lock();
        if clients.detached {
            return None;
        }
        clients.last += 1;
        let client = clients.last;
        clients.injected.insert(client, 0);
        Some(client)
    }

    /// Ends what [`open`](Self::open) began.
    pub fn close(&self, client: u64) {
        self.clients.lock().injected.remove(&client);
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

    /// Every request that has arrived and is not answered, longest waiting first.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let mut all = self.delays.list(&self.id);
        all.extend(self.serving.list());
        all.sort_by_key(|request| std::cmp::Reverse(request.age));
        all
    }

    /// Takes in a request of `client` and answers it through `reply`: on this thread, or later on
    /// one of the pool when a fault delays it. Never sleeps.
    pub fn submit(self: &Arc<Self>, request: Request<'_>, client: u64, reply: impl Reply) {
        let op = request.op();
        self.counters.arrived(op, request.len());
        let faults = self.faults.load();
        if faults.is_empty() {
            drop(faults); // A snapshot is not kept across I/O.
            return self.serve(&request, client, reply);
        }
        let now = self.now();
        let verdict = faults.decide(op, now);
        if !verdict.delay.is_zero() {
            let rule = faults.delaying(op, now);
            drop(faults);
            self.counters.of(op).delayed();
            return self.hold(request, client, reply, verdict.delay, rule);
        }
        drop(faults);
        match verdict.error {
            Some(errno) => self.refuse(op, errno, client, reply),
            None => self.serve(&request, client, reply),
        }
    }

    fn hold(
        self: &Arc<Self>,
        request: Request<'_>,
        client: u64,
        reply: impl Reply,
        delay: Duration,
        rule: String,
    ) {
        let arrived = Instant::now();
        let request = request.into_owned();
        let (offset, len, op) = (request.offset(), request.len(), request.op());
        let disk = Arc::clone(self);
        self.delays.hold(Held {
            due: arrived + delay,
            arrived,
            disk: self.id.clone(),
            op,
            offset,
            len,
            rule,
            go_on: Box::new(move || disk.go_on(&request, client, reply)),
        });
        // Cleared between the first look and here: nobody else would let it go.
        if self.faults.load().is_empty() {
            self.delays.release(&self.id);
        }
    }

    /// The second look, after a delay.
    fn go_on(&self, request: &Request<'_>, client: u64, reply: impl Reply) {
        match self.error_for(request.op()) {
            Some(errno) => self.refuse(request.op(), errno, client, reply),
            None => self.serve(request, client, reply),
        }
    }

    fn error_for(&self, op: Op) -> Option<Errno> {
        let faults = self.faults.load();
        if faults.is_empty() {
            return None;
        }
        faults.decide(op, self.now()).error
    }

    /// Does the I/O on this thread, takes the third look, and answers.
    fn serve(&self, request: &Request<'_>, client: u64, reply: impl Reply) {
        let op = request.op();
        // Out of the list before the answer: a client that has it finds its request gone.
        let visible = self.serving.enter(op, request.offset(), request.len());
        let result = match *request {
            Request::Read { offset, len } => {
                return self.serve_read(offset, len, visible, client, reply);
            }
            Request::Write { offset, ref data } => self.image.write_at(data, offset),
            Request::Flush { data_only } => self.image.flush(data_only),
            Request::Discard { offset, len } => self.image.discard(offset, len),
            Request::Zero {
                offset,
                len,
                keep_size,
            } => self.image.write_zeroes(offset, len, keep_size),
        };
        drop(visible);
        self.answer(op, result.map(|()| Answer::Done), client, reply);
    }

    fn serve_read(
        &self,
        offset: u64,
        len: u32,
        visible: Option<Visible<'_>>,
        client: u64,
        reply: impl Reply,
    ) {
        BUFFER.with_borrow_mut(|buffer| {
            let len = len as usize;
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let read = self.image.read_at(&mut buffer[..len], offset);
            drop(visible);
            let data = read.map(|n| Answer::Data(&buffer[..n]));
            self.answer(Op::Read, data, client, reply);
        });
    }

    /// The third look, after the I/O, and the answer.
    fn answer(&self, op: Op, result: std::io::Result<Answer<'_>>, client: u64, reply: impl Reply) {
        if let Some(errno) = self.error_for(op) {
            return self.refuse(op, errno, client, reply);
        }
        match result {
            Ok(answer) => reply.send(Ok(answer)),
            Err(error) => {
                self.counters.of(op).host_error();
                reply.send(Err(Errno::of(&error)));
            }
        }
    }

    /// Answers with an injected error. Counted first, so that a client that has seen the error
    /// also finds it counted.
    fn refuse(&self, op: Op, errno: Errno, client: u64, reply: impl Reply) {
        self.counters.of(op).injected_error();
        if let Some(injected) = self.clients.lock().injected.get_mut(&client) {
            *injected += 1;
        }
        reply.send(Err(errno));
    }
}
