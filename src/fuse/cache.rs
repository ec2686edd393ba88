//! The pages of data files that the kernel keeps in its page cache. Reads and writes bypass that cache;
//! `sendfile`, `splice`, `copy_file_range` and private mappings do not. For these the kernel asks for a page once,
//! and all clients share its answer. Two rules keep faults visible to them. The kernel drops all pages of a disk
//! when its rules change. It drops a page that a rule has changed as soon as its reader has had it.
//! And it drops a page that was read while another client wrote it: by itself it does so before a write, not after it.
//!
//! Before the kernel drops a page, it waits for reads of that page, which a rule may hold. A serving thread must
//! not wait for that, so each disk has a thread for it, which ends when it has no work. Nor may that thread keep a
//! killed server alive. So it drops only pages that the kernel has got and has not asked for again: in general none
//! of them is being read. It may still be, if the kernel has dropped the page itself. The kernel ends such a read
//! with the device that it came through, so the thread has a descriptor table of its own, which contains one device
//! that receives no requests.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fuser::INodeNo;
use parking_lot::{Condvar, Mutex};

use super::inode::Inode;
use crate::disk::{Answer, Disk, Reply};
use crate::fault::Op;
use crate::os::{sys, thread};
use crate::protocol::Errno;
use crate::units::RangeMap;

/// How long a reader has to take its page before the kernel drops it. A busy machine may let it wait for some milliseconds.
const TAKEN: Duration = Duration::from_millis(10);
/// How long a change of rules waits for the kernel to drop pages that nobody reads.
const DROPPED: Duration = Duration::from_secs(2);
/// The same while pages are being read: a rule may hold such a read.
const DROPPED_MEANWHILE: Duration = Duration::from_millis(30);
/// How long a thread without work waits before it ends.
const IDLE: Duration = Duration::from_millis(200);
/// Most pieces that are remembered of a disk. Beyond it the kernel drops all pages of the disk.
const MOST_PIECES: usize = 1000;
const ALL: Range<u64> = 0..i64::MAX as u64;

/// The pages that the kernel keeps of the data files of a mount.
#[derive(Default)]
pub(super) struct PageCache {
    device: OnceLock<OwnedFd>,
    disks: Mutex<HashMap<usize, Arc<Pages>>>,
    /// The kernel has asked for a page. In most mounts it never does.
    is_used: AtomicBool,
}

/// The pages that it keeps of one data file.
struct Pages {
    ino: INodeNo,
    state: Mutex<State>,
    /// There is more to drop.
    more: Condvar,
    /// A piece was dropped.
    dropped: Condvar,
}

#[derive(Default)]
struct State {
    /// The pieces that the kernel was given and may still have.
    given: RangeMap<()>,
    /// The pieces that it is to drop, each from a moment on.
    to_drop: VecDeque<(Range<u64>, Instant)>,
    /// How many pieces were ever put into `to_drop`, and how many of them are done.
    asked: u64,
    done: u64,
    has_thread: bool,
    /// Reads of pages without an answer.
    reading: usize,
    /// What clients have written meanwhile: such a read may have found what was there before.
    written: Vec<Range<u64>>,
}

impl State {
    /// Notes that a client has written `piece`, for the reads that are under way.
    fn note_written(&mut self, piece: &Range<u64>) {
        if self.reading == 0 {
            self.written.clear();
        } else if self.written.len() < MOST_PIECES {
            self.written.push(piece.clone());
        } else {
            self.written = vec![ALL];
        }
    }

    /// Whether a client has written a part of `piece` while reads were under way.
    fn was_written(&self, piece: &Range<u64>) -> bool {
        let touches = |it: &Range<u64>| it.start < piece.end && piece.start < it.end;
        self.written.iter().any(touches)
    }
}

impl PageCache {
    /// Notifies the kernel through `device`, which receives no requests.
    pub(super) fn notify_through(&self, device: OwnedFd) {
        let _ = self.device.set(device);
    }

    /// Drops all pages of a disk: its rules have changed, or its data in another way than by a write.
    pub(super) fn drop_all(self: &Arc<Self>, disk: usize) {
        if let Some(pages) = self.pages(disk) {
            self.drop_piece(&pages, ALL, Instant::now());
        }
    }

    /// Drops what the kernel was given of `piece`, which a client has just written.
    fn drop_written(self: &Arc<Self>, disk: usize, piece: &Range<u64>) {
        let Some(pages) = self.pages(disk) else {
            return;
        };
        let mut state = pages.state.lock();
        state.note_written(piece);
        let is_given = state.given.within(piece.clone()).next().is_some();
        drop(state);
        if is_given {
            self.drop_piece(&pages, piece.clone(), Instant::now());
        }
    }

    /// For a change of a disk; None if the kernel never asked for a page of it.
    pub(super) fn dropper(self: &Arc<Self>, disk: usize) -> Option<Dropper> {
        self.pages(disk)?;
        Some(Dropper(Arc::clone(self), disk))
    }

    /// Drops all pages of these disks and waits until they are gone. It gives up early while pages are being
    /// read, since a rule may hold such a read.
    pub(super) fn renew(self: &Arc<Self>, disks: &[usize]) {
        let began = Instant::now();
        disks.iter().for_each(|disk| self.drop_all(*disk));
        disks.iter().for_each(|disk| self.settle(*disk, began));
    }

    fn settle(&self, disk: usize, began: Instant) {
        let Some(pages) = self.pages(disk) else {
            return;
        };
        let mut state = pages.state.lock();
        let asked = state.asked;
        let limit = |state: &State| match state.reading {
            0 => DROPPED,
            _ => DROPPED_MEANWHILE,
        };
        while state.done < asked && began.elapsed() < limit(&state) {
            pages.dropped.wait_for(&mut state, DROPPED_MEANWHILE);
        }
    }

    /// The pages of a disk; None if the kernel never asked for one.
    fn pages(&self, disk: usize) -> Option<Arc<Pages>> {
        let is_used = self.is_used.load(Ordering::SeqCst);
        is_used.then(|| self.disks.lock().get(&disk).cloned())?
    }

    /// The kernel asks for a piece of a disk.
    fn begin(&self, disk: usize, piece: &Range<u64>) -> Reading {
        let pages = Arc::clone(self.disks.lock().entry(disk).or_insert_with(|| {
            Arc::new(Pages {
                ino: Inode::Data(disk).number(),
                state: Mutex::default(),
                more: Condvar::new(),
                dropped: Condvar::new(),
            })
        }));
        self.is_used.store(true, Ordering::SeqCst);
        let mut state = pages.state.lock();
        state.reading += 1;
        // It does not have the pages that it asks for.
        state.given.remove(piece);
        drop(state);
        Reading(pages)
    }

    fn drop_piece(self: &Arc<Self>, pages: &Arc<Pages>, piece: Range<u64>, from: Instant) {
        let mut state = pages.state.lock();
        state.asked += 1;
        state.to_drop.push_back((piece, from));
        pages.more.notify_one();
        if std::mem::replace(&mut state.has_thread, true) {
            return;
        }
        let (cache, own) = (Arc::clone(self), Arc::clone(pages));
        state.has_thread =
            thread::start(c"page-cache", move || cache.drop_until_idle(&own)).is_ok();
        if !state.has_thread {
            // The next change tries again.
            state.done = state.asked;
        }
    }

    fn drop_until_idle(&self, pages: &Pages) {
        let device = self.device.get();
        let device = device.filter(|device| sys::keep_only(device).is_ok());
        while let Some((piece, from)) = pages.next() {
            std::thread::sleep(from.saturating_duration_since(Instant::now()));
            for piece in pages.take(&piece) {
                // The write fails for an inode that the kernel has forgotten: it has no pages.
                let _ = device.map(|device| rustix::io::write(device, &message(pages.ino, &piece)));
            }
            let mut state = pages.state.lock();
            state.done = state.asked - state.to_drop.len() as u64;
            pages.dropped.notify_all();
        }
    }
}

/// A read of a page without an answer.
struct Reading(Arc<Pages>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.state.lock().reading -= 1;
    }
}

impl Pages {
    /// The kernel is about to get this piece. Returns whether these are too many pieces.
    fn give(&self, piece: &Range<u64>) -> bool {
        let mut state = self.state.lock();
        state.given.insert_joined(piece.clone(), ());
        state.given.len() > MOST_PIECES
    }

    /// The parts of `piece` that the kernel was given. It is about to drop them.
    fn take(&self, piece: &Range<u64>) -> Vec<Range<u64>> {
        let mut state = self.state.lock();
        let given = state.given.within(piece.clone());
        let given = given.map(|(part, ())| part).collect();
        state.given.remove(piece);
        given
    }

    /// The next piece to drop; None after a while without one: then the thread may end.
    fn next(&self) -> Option<(Range<u64>, Instant)> {
        let mut state = self.state.lock();
        let deadline = Instant::now() + IDLE;
        loop {
            if let Some(next) = state.to_drop.pop_front() {
                return Some(next);
            }
            if self.more.wait_until(&mut state, deadline).timed_out() && state.to_drop.is_empty() {
                state.has_thread = false;
                return None;
            }
        }
    }
}

/// FUSE_NOTIFY_INVAL_INODE: a header without a request, then the inode and the range.
fn message(ino: INodeNo, piece: &Range<u64>) -> Vec<u8> {
    const LEN: u32 = 40;
    const INVAL_INODE: u32 = 2;
    let request = 0_u64;
    let mut message = [LEN.to_ne_bytes(), INVAL_INODE.to_ne_bytes()].concat();
    for word in [request, ino.0, piece.start, piece.end - piece.start] {
        message.extend(word.to_ne_bytes());
    }
    message
}

/// Answers the kernel's own read of a page.
pub(super) struct PageReply<R> {
    cache: Arc<PageCache>,
    reading: Reading,
    disk: Arc<Disk>,
    /// The bytes that the kernel asks for.
    piece: Range<u64>,
    /// The state of the rules when it arrived.
    rules: u64,
    reply: R,
}

impl<R> PageReply<R> {
    /// For a read of `piece` of `disk`, which has that index.
    pub(super) fn new(
        cache: &Arc<PageCache>,
        index: usize,
        disk: &Arc<Disk>,
        piece: Range<u64>,
        reply: R,
    ) -> Self {
        Self {
            cache: Arc::clone(cache),
            reading: cache.begin(index, &piece),
            disk: Arc::clone(disk),
            piece,
            rules: disk.rules_changed(),
            reply,
        }
    }
}

impl<R: Reply> Reply for PageReply<R> {
    fn send(self, result: Result<Answer<'_>, Errno>) {
        let Ok(Answer::Data(data)) = result else {
            return self.reply.send(result);
        };
        // The kernel fills up the last page of a piece at the end of the disk.
        let Range { start, end } = self.piece;
        let given = start..if data.is_empty() { start } else { end };
        // Before the rules are read: a thread that changes them meanwhile finds the piece here.
        let pages = &self.reading.0;
        let are_many = !given.is_empty() && pages.give(&given);
        let is_other =
            self.disk.rules_changed() != self.rules || pages.state.lock().was_written(&self.piece);
        let is_concerned = self.disk.has_rule_for(Op::Read, start, end - start);
        self.reply.send(result);
        if is_other || is_concerned {
            let from = Instant::now() + if is_other { Duration::ZERO } else { TAKEN };
            self.cache.drop_piece(pages, given, from);
        } else if are_many {
            self.cache.drop_piece(pages, ALL, Instant::now());
        }
    }
}

/// Drops pages of a disk after a change of its data.
pub(super) struct Dropper(Arc<PageCache>, usize);

impl Dropper {
    /// Drops all: the kernel takes the change for one of other sectors, or of none.
    pub(super) fn drop_all(self) {
        self.0.drop_all(self.1);
    }

    /// Drops these bytes, which a client has written: the kernel may have asked for them meanwhile.
    pub(super) fn drop_written(self, piece: &Range<u64>) {
        self.0.drop_written(self.1, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_the_layout_of_the_kernel() {
        let message = message(INodeNo(64), &(4096..12288));
        let words = message.chunks_exact(4);
        let words = words.map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let words: Vec<_> = words.collect();
        assert_eq!(words, [40, 2, 0, 0, 64, 0, 4096, 0, 8192, 0]);
    }

    #[test]
    fn piece_that_is_asked_for_again_is_not_dropped() {
        let cache = PageCache::default();
        let pages = Arc::clone(&cache.begin(0, &(0..4096)).0);
        pages.give(&(0..20480));
        let again = cache.begin(0, &(4096..8192));
        assert_eq!(pages.state.lock().reading, 1);
        drop(again);
        let taken = pages.take(&ALL);
        assert_eq!(taken, [0..4096, 8192..20480]);
    }

    #[test]
    fn page_that_is_read_while_a_client_writes_it_is_known() {
        let cache = PageCache::default();
        let reading = cache.begin(0, &(0..4096));
        let pages = Arc::clone(&reading.0);
        let written = |piece: Range<u64>| pages.state.lock().was_written(&piece);
        pages.state.lock().note_written(&(512..1024));
        assert!(written(0..4096) && !written(4096..8192));
        assert!(!written(0..512) && !written(1024..4096));
        (0..=MOST_PIECES).for_each(|_| pages.state.lock().note_written(&(8192..9216)));
        assert!(written(1 << 30..1 << 31));
        drop(reading);
        pages.state.lock().note_written(&(0..4096));
        assert!(!written(0..4096));
    }

    #[test]
    fn give_reports_too_many_pieces() {
        let pages = Arc::clone(&PageCache::default().begin(0, &(0..1)).0);
        let mut given = (0..1001).map(|at| pages.give(&(at * 10..at * 10 + 1)));
        assert!(given.by_ref().take(1000).all(|are_many| !are_many));
        assert_eq!(given.next(), Some(true));
    }
}
