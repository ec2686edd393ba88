//! What the kernel keeps of data files. Reads and writes go past its page cache; `sendfile`, `splice`,
//! `copy_file_range` and private mappings do not. For these the kernel asks for a page once, and has all
//! clients share what it got. So that a rule that is armed meets them, and what a rule made of a page
//! is not served for longer than the rule would, the kernel is told to drop pages: all of a disk when its rules
//! change, and those that a rule concerns as soon as their reader has had them.
//!
//! To drop a page the kernel waits until nobody reads it in, which is as long as a rule holds the read. So that is
//! never waited for on a thread that serves; each disk has one of its own for it, which ends when there is
//! nothing to do. And it must not keep a killed server alive. Only what the kernel was given and has not asked for
//! again is dropped, so that as a rule nothing is being read in. Where it is all the same, because the kernel has
//! dropped the page itself, the read ends with the device that it came through: the thread has a table of
//! descriptors of its own, with one device that no request comes through.

use std::collections::{BTreeMap, HashMap, VecDeque};
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
use crate::os::sys;
use crate::protocol::Errno;

/// How long a reader has to take what it asked for, before it would have to ask again.
const TAKEN: Duration = Duration::from_millis(1);
/// How long a change waits for pages to be dropped, where nothing but a busy machine keeps the kernel from it.
const DROPPED: Duration = Duration::from_secs(2);
/// The same while pages are being read: a rule may hold the read.
const DROPPED_MEANWHILE: Duration = Duration::from_millis(30);
/// How long a thread waits for more to do.
const IDLE: Duration = Duration::from_millis(200);
/// Of more pieces it is not known any longer that the kernel has them: it has to drop them.
const MOST_PIECES: usize = 1000;
const ALL: Range<u64> = 0..i64::MAX as u64;

/// What the kernel keeps of the data files of a mount.
#[derive(Default)]
pub(super) struct PageCache {
    device: OnceLock<OwnedFd>,
    disks: Mutex<HashMap<usize, Arc<Pages>>>,
    /// The kernel has asked for a page: what most mounts never see.
    is_used: AtomicBool,
}

/// What it keeps of one of them.
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
    /// What the kernel was given and may have.
    given: Pieces,
    /// What it is to drop of that, each from a moment on.
    to_drop: VecDeque<(Range<u64>, Instant)>,
    /// How much was ever put into `to_drop`, and how much is done with.
    asked: u64,
    done: u64,
    has_thread: bool,
    /// Reads of pages that are not answered.
    reading: usize,
}

impl PageCache {
    /// Tells the kernel through `device`, which no request comes through.
    pub(super) fn tell_through(&self, device: OwnedFd) {
        let _ = self.device.set(device);
    }

    /// The rules of a disk have changed, or its data otherwise than by a write: none of its pages are
    /// good any more.
    pub(super) fn drop_all(self: &Arc<Self>, disk: usize) {
        if let Some(pages) = self.pages(disk) {
            self.drop_piece(&pages, ALL, Instant::now());
        }
    }

    /// For a change of a disk; None where the kernel has none of its pages.
    pub(super) fn dropper(self: &Arc<Self>, disk: usize) -> Option<Dropper> {
        self.pages(disk)?;
        Some(Dropper(Arc::clone(self), disk))
    }

    /// Drops all pages of these disks and waits until they are gone: not for reads that a rule holds, which
    /// keep the kernel from it.
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
        let patience = |state: &State| match state.reading {
            0 => DROPPED,
            _ => DROPPED_MEANWHILE,
        };
        while state.done < asked && began.elapsed() < patience(&state) {
            pages.dropped.wait_for(&mut state, DROPPED_MEANWHILE);
        }
    }

    /// Those of a disk of which the kernel has ever asked for a page.
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
        // What it asks for, it does not have.
        state.given.take(piece);
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
        let thread = std::thread::Builder::new().name("page-cache".into());
        state.has_thread = thread.spawn(move || cache.drop_until_idle(&own)).is_ok();
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
            let given = pages.state.lock().given.take(&piece);
            for piece in given {
                // An inode that the kernel has forgotten has no pages.
                let _ = device.map(|device| rustix::io::write(device, &message(pages.ino, &piece)));
            }
            let mut state = pages.state.lock();
            state.done = state.asked - state.to_drop.len() as u64;
            pages.dropped.notify_all();
        }
    }
}

/// Ranges of bytes that do not overlap, each by its start with its end.
#[derive(Debug, Default)]
struct Pieces(BTreeMap<u64, u64>);

impl Pieces {
    fn insert(&mut self, piece: &Range<u64>) {
        let _ = self.take(piece);
        // Neighbours are one.
        let end = self.0.remove(&piece.end).unwrap_or(piece.end);
        match self.0.range_mut(..piece.start).next_back() {
            Some((_, before)) if *before == piece.start => *before = end,
            _ => drop(self.0.insert(piece.start, end)),
        }
    }

    /// Takes out what there is of `piece`.
    fn take(&mut self, piece: &Range<u64>) -> Vec<Range<u64>> {
        let last = self.0.range(..piece.start).next_back();
        let first = last.map_or(piece.start, |(start, _)| *start);
        let touched = self.0.range(first..piece.end);
        let touched: Vec<_> = touched.map(|(start, end)| *start..*end).collect();
        let mut taken = Vec::new();
        for range in touched.into_iter().filter(|range| range.end > piece.start) {
            self.0.remove(&range.start);
            if range.start < piece.start {
                self.0.insert(range.start, piece.start);
            }
            if range.end > piece.end {
                self.0.insert(piece.end, range.end);
            }
            taken.push(range.start.max(piece.start)..range.end.min(piece.end));
        }
        taken
    }
}

/// A read of a page that is not answered.
struct Reading(Arc<Pages>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.state.lock().reading -= 1;
    }
}

impl Pages {
    /// The kernel is about to get this piece. Returns whether there are too many.
    fn give(&self, piece: &Range<u64>) -> bool {
        let mut state = self.state.lock();
        state.given.insert(piece);
        state.given.0.len() > MOST_PIECES
    }

    /// The next piece; None when there was none for a while, and so no thread is needed.
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
    /// What the kernel asks for.
    piece: Range<u64>,
    /// What the rules were when it arrived.
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
        // Of a piece at the end the kernel fills up the last page.
        let Range { start, end } = self.piece;
        let given = start..if data.is_empty() { start } else { end };
        // Known before the rules are looked at: whoever changes them meanwhile finds it here.
        let pages = &self.reading.0;
        let are_many = !given.is_empty() && pages.give(&given);
        let is_other = self.disk.rules_changed() != self.rules;
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

/// Drops the pages of a disk after a change of its data that the kernel takes for one of other sectors, or for
/// none.
pub(super) struct Dropper(Arc<PageCache>, usize);

impl Dropper {
    pub(super) fn drop_all(self) {
        self.0.drop_all(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_the_kernel_reads_it() {
        let message = message(INodeNo(64), &(4096..12288));
        let words = message.chunks_exact(4);
        let words = words.map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let words: Vec<_> = words.collect();
        assert_eq!(words, [40, 2, 0, 0, 64, 0, 4096, 0, 8192, 0]);
    }

    #[test]
    fn a_piece_that_is_asked_for_again_is_not_dropped_as_well() {
        let cache = PageCache::default();
        let pages = Arc::clone(&cache.begin(0, &(0..4096)).0);
        let given = || {
            pages
                .state
                .lock()
                .given
                .0
                .clone()
                .into_iter()
                .collect::<Vec<_>>()
        };
        pages.give(&(0..4096));
        pages.give(&(4096..20480));
        assert_eq!(given(), [(0, 20480)]);
        let again = cache.begin(0, &(4096..8192));
        assert_eq!(given(), [(0, 4096), (8192, 20480)]);
        assert_eq!(pages.state.lock().reading, 1);
        drop(again);
        pages.give(&(40960..45056));
        pages.give(&(12288..16384));
        let taken = pages.state.lock().given.take(&(2048..12288));
        assert_eq!(taken, [2048..4096, 8192..12288]);
        assert_eq!(given(), [(0, 2048), (12288, 20480), (40960, 45056)]);
        let taken = pages.state.lock().given.take(&ALL);
        assert_eq!(taken.len(), 3);
        assert!(given().is_empty());
    }

    #[test]
    fn too_many_pieces_are_told() {
        let pages = Arc::clone(&PageCache::default().begin(0, &(0..1)).0);
        let mut given = (0..1001).map(|at| pages.give(&(at * 10..at * 10 + 1)));
        assert!(given.by_ref().take(1000).all(|are_many| !are_many));
        assert_eq!(given.next(), Some(true));
    }
}
