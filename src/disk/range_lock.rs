//! Changes of a disk that overlap, one after the other in the order in which they came. The others run side
//! by side, and no thread waits.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::pool::Work;

/// All bytes of a disk.
pub(super) const ALL: Range<u64> = 0..u64::MAX;

/// What a change does once its range is free.
type GoOn = Box<dyn FnOnce(RangeGuard) + Send>;

/// The ranges of a disk that are being changed, and those that wait for one of them.
pub(super) struct RangeLock {
    state: Mutex<State>,
    /// Runs on another thread what has waited.
    hand_over: Box<dyn Fn(Work) + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    ranges: Vec<Entry>,
    next: u64,
    /// Those whose range has become free, and which are not handed over yet.
    ready: VecDeque<(u64, GoOn)>,
    is_handing_over: bool,
}

struct Entry {
    number: u64,
    range: Range<u64>,
    /// How many before it overlap with it.
    before: usize,
    /// Of one that waits.
    go_on: Option<GoOn>,
}

/// Keeps a range to its holder until it is dropped.
#[must_use]
pub(super) struct RangeGuard {
    lock: Arc<RangeLock>,
    number: u64,
}

impl RangeLock {
    /// No range is being changed. `hand_over` runs what it gets on another thread, or drops it.
    pub(super) fn new(hand_over: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            hand_over: Box::new(hand_over),
        }
    }

    /// Takes `range`, in bytes; None while a change of a part of it is under way or waits.
    pub(super) fn try_lock(self: &Arc<Self>, range: Range<u64>) -> Option<RangeGuard> {
        let mut state = self.state.lock();
        match state.overlapping(&range) {
            0 => Some(self.guard(state.add(range, 0, None))),
            _ => None,
        }
    }

    /// Takes all of the disk, for which this thread waits; None if it is not free in time. Not for a loop thread.
    pub(super) fn lock_all_within(self: &Arc<Self>, limit: Duration) -> Option<RangeGuard> {
        let deadline = Instant::now() + limit;
        loop {
            match self.try_lock(ALL) {
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(200)),
                guard => return guard,
            }
        }
    }

    /// Calls `go_on` on another thread when `range` is free, after all that came before. Drops it where no
    /// thread takes it any more.
    pub(super) fn lock(
        self: &Arc<Self>,
        range: Range<u64>,
        go_on: impl FnOnce(RangeGuard) + Send + 'static,
    ) {
        let mut state = self.state.lock();
        match state.overlapping(&range) {
            0 => {
                let number = state.add(range, 0, None);
                state.ready.push_back((number, Box::new(go_on)));
                drop(state);
                self.hand_over_ready();
            }
            before => {
                state.add(range, before, Some(Box::new(go_on)));
            }
        }
    }

    #[cfg(test)]
    fn waiting_count(&self) -> usize {
        let state = self.state.lock();
        state.ranges.iter().filter(|range| range.before > 0).count()
    }

    fn guard(self: &Arc<Self>, number: u64) -> RangeGuard {
        RangeGuard {
            lock: Arc::clone(self),
            number,
        }
    }

    fn unlock(self: &Arc<Self>, number: u64) {
        self.state.lock().remove(number);
        self.hand_over_ready();
    }

    /// Hands over what is ready. A loop and no recursion: what is handed over may be dropped at once, which
    /// frees the next range.
    fn hand_over_ready(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_handing_over, true) {
            return;
        }
        while let Some((number, go_on)) = state.ready.pop_front() {
            drop(state);
            let guard = self.guard(number);
            (self.hand_over)(Box::new(move || go_on(guard)));
            state = self.state.lock();
        }
        state.is_handing_over = false;
    }
}

impl State {
    fn overlapping(&self, range: &Range<u64>) -> usize {
        self.ranges
            .iter()
            .filter(|entry| entry.overlaps(range))
            .count()
    }

    fn add(&mut self, range: Range<u64>, before: usize, go_on: Option<GoOn>) -> u64 {
        self.next += 1;
        self.ranges.push(Entry {
            number: self.next,
            range,
            before,
            go_on,
        });
        self.next
    }

    fn remove(&mut self, number: u64) {
        let at = self.ranges.iter().position(|entry| entry.number == number);
        let Some(at) = at else { return };
        let Entry { range, .. } = self.ranges.remove(at);
        // Those before it do not overlap with it, or it would still wait.
        for entry in &mut self.ranges[at..] {
            if entry.overlaps(&range) {
                entry.before -= 1;
                if entry.before == 0 {
                    let go_on = entry.go_on.take().map(|go_on| (entry.number, go_on));
                    self.ready.extend(go_on);
                }
            }
        }
    }
}

impl Entry {
    fn overlaps(&self, range: &Range<u64>) -> bool {
        self.range.start < range.end && range.start < self.range.end
    }
}

impl Drop for RangeGuard {
    fn drop(&mut self) {
        self.lock.unlock(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};

    /// A lock, and the names of those that wait, as they go on; each holds its range until it is received.
    struct Bench {
        lock: Arc<RangeLock>,
        works: Receiver<Work>,
        tx: crossbeam_channel::Sender<(u64, RangeGuard)>,
        begun: Receiver<(u64, RangeGuard)>,
    }

    impl Bench {
        fn new() -> Self {
            let (hand_over, works) = unbounded();
            let (tx, begun) = unbounded();
            let lock = RangeLock::new(move |work| drop(hand_over.send(work)));
            Self {
                lock: Arc::new(lock),
                works,
                tx,
                begun,
            }
        }

        fn lock(&self, name: u64, range: Range<u64>) {
            let tx = self.tx.clone();
            self.lock
                .lock(range, move |guard| tx.send((name, guard)).unwrap());
        }

        fn run(&self) -> Vec<(u64, RangeGuard)> {
            self.works.try_iter().for_each(|work| work());
            self.begun.try_iter().collect()
        }
    }

    fn names(begun: &[(u64, RangeGuard)]) -> Vec<u64> {
        begun.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn ranges_that_do_not_overlap_are_changed_side_by_side() {
        let bench = Bench::new();
        let one = bench.lock.try_lock(0..512);
        let two = bench.lock.try_lock(512..1024);
        assert!(one.is_some() && two.is_some());
        assert!(bench.lock.try_lock(511..513).is_none());
        drop(one);
        assert!(bench.lock.try_lock(511..513).is_none());
        drop(two);
        assert!(bench.lock.try_lock(511..513).is_some());
    }

    #[test]
    fn ranges_that_overlap_take_turns_in_the_order_in_which_they_came() {
        let bench = Bench::new();
        let first = bench.lock.try_lock(0..10).unwrap();
        bench.lock(1, 5..15);
        bench.lock(2, 12..20);
        bench.lock(3, 30..40);
        bench.lock(4, 0..5);
        assert_eq!(bench.lock.waiting_count(), 3);
        let begun = bench.run();
        assert_eq!(names(&begun), [3], "2 comes after 1, which waits");
        assert!(bench.lock.try_lock(16..17).is_none());
        drop(first);
        let begun = bench.run();
        assert_eq!(names(&begun), [1, 4]);
        drop(begun);
        assert_eq!(names(&bench.run()), [2]);
        assert_eq!(bench.lock.waiting_count(), 0);
    }

    #[test]
    fn lock_of_all_lets_nothing_past_it() {
        let bench = Bench::new();
        let held = bench.lock.try_lock(0..10).unwrap();
        bench.lock(1, 0..u64::MAX);
        assert!(bench.lock.try_lock(90..100).is_none());
        bench.lock(2, 90..100);
        drop(held);
        let all = bench.run();
        assert_eq!(names(&all), [1]);
        drop(all);
        assert_eq!(names(&bench.run()), [2]);
    }

    #[test]
    fn ranges_of_dropped_work_are_free_however_many_wait() {
        let lock = Arc::new(RangeLock::new(drop));
        let held = lock.try_lock(0..10).unwrap();
        for _ in 0..20_000 {
            lock.lock(0..10, |_| panic!("it was dropped"));
        }
        assert_eq!(lock.waiting_count(), 20_000);
        drop(held);
        assert_eq!(lock.waiting_count(), 0);
        assert!(lock.try_lock(0..10).is_some());
    }

    #[test]
    fn threads_never_change_one_range_at_a_time() {
        let pool = crossbeam_channel::unbounded::<Work>();
        let lock = Arc::new(RangeLock::new(move |work| pool.0.send(work).unwrap()));
        let (tx, done) = unbounded();
        let cells: Arc<Vec<_>> = Arc::new((0..8).map(|_| Mutex::new(())).collect());
        for _ in 0..4 {
            let works = pool.1.clone();
            std::thread::spawn(move || works.iter().for_each(|work| work()));
        }
        for round in 0..2000 {
            let (from, to) = (round % 8, round % 8 + 1 + round % 3);
            let (tx, cells) = (tx.clone(), Arc::clone(&cells));
            lock.lock(from..to, move |guard| {
                let cells = (from..to).filter_map(|at| cells.get(at as usize));
                let held: Vec<_> = cells.map(|cell| cell.try_lock().is_some()).collect();
                drop(guard);
                tx.send(held).unwrap();
            });
        }
        let all: Vec<_> = done.iter().take(2000).flatten().collect();
        assert!(all.iter().all(|held| *held));
    }
}
