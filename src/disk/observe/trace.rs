//! The trace of a disk: a line for each request that was answered, for its listeners.
//!
//! Without a listener no line is made. A listener that reads too slowly loses lines and finds out
//! how many; requests never wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::decided::Decided;
use super::line::{Line, Request, What};
use super::listener::Listener;
use crate::fault::{Armed, IoRange};
use crate::os::sys;
use crate::protocol::{Completion, EventLine, Note};

/// Listeners of one disk.
const MOST_LISTENERS: usize = 16;

/// The listeners of a disk. Requests look at `any`; everything else is behind the lock, which is
/// held to hand a line over.
#[derive(Default)]
pub struct Trace {
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: Vec<Weak<Listener>>,
    /// The number of the latest line.
    sequence: u64,
    ended: bool,
}

impl Trace {
    /// A new listener, which listens until it is dropped. None when there are too many.
    pub fn listen(&self) -> Option<Arc<Listener>> {
        let mut state = self.state.lock();
        state.forget_gone();
        if state.listeners.len() >= MOST_LISTENERS {
            return None;
        }
        let listener = Arc::new(Listener::new(state.sequence, state.ended));
        state.listeners.push(Arc::downgrade(&listener));
        self.any.store(true, Ordering::SeqCst);
        Some(listener)
    }

    /// Whether there is a listener.
    pub(in crate::disk) fn is_on(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Hands all listeners the line of a request that is about to be answered.
    pub(in crate::disk) fn record(
        &self,
        range: IoRange,
        completion: Completion,
        latency: Duration,
        rules: Vec<Arc<Armed>>,
    ) {
        self.hand_over(
            sys::monotonic(),
            What::Answered(Request {
                range,
                completion,
                latency: latency.into(),
                rules: (!rules.is_empty()).then(|| Arc::new(rules)),
            }),
        );
    }

    /// Hands all listeners a line between those of requests.
    pub(in crate::disk) fn note(&self, note: Note) {
        if self.is_on() {
            self.hand_over(sys::monotonic(), What::Noted(Arc::new(note)));
        }
    }

    /// Hands all listeners of `ctl/events` a line.
    pub(in crate::disk) fn tell(&self, event: EventLine) {
        if self.is_on() {
            self.hand_over(event.time, What::Event(Arc::new(event)));
        }
    }

    /// Hands all listeners of `decisions` a line.
    pub(super) fn decided(&self, decided: Decided) {
        self.hand_over(Duration::ZERO, What::Decided(Arc::new(decided)));
    }

    /// Hands all listeners a remark about the stream.
    pub(super) fn remark(&self, text: &'static str) {
        self.hand_over(Duration::ZERO, What::Remark(text));
    }

    /// The number of the latest line; 0 if there was none.
    pub(super) fn latest(&self) -> u64 {
        self.state.lock().sequence
    }

    /// Whether there still is a listener: one that is gone is noticed here, or at the next line.
    pub(super) fn has_listeners(&self) -> bool {
        let mut state = self.state.lock();
        state.forget_gone();
        let has_some = !state.listeners.is_empty();
        self.any.store(has_some, Ordering::SeqCst);
        has_some
    }

    fn hand_over(&self, time: Duration, what: What) {
        let mut state = self.state.lock();
        state.sequence += 1;
        let line = Line {
            sequence: state.sequence,
            time: time.into(),
            what,
        };
        let mut wakes = Vec::new();
        state.listeners.retain(|listener| {
            let listener = listener.upgrade();
            wakes.extend(listener.as_ref().and_then(|listener| listener.push(&line)));
            listener.is_some()
        });
        if state.listeners.is_empty() {
            self.any.store(false, Ordering::SeqCst);
        }
        drop(state);
        wakes.into_iter().for_each(|wake| wake());
    }

    /// Every listener, those to come too, finds the end after what it has not read yet.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let listeners = std::mem::take(&mut state.listeners);
        drop(state);
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.end();
        }
    }
}

impl State {
    fn forget_gone(&mut self) {
        self.listeners
            .retain(|listener| listener.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crossbeam_channel::Receiver;

    use super::super::listener::{Due, LONGEST_REST, MOST_LINES};
    use super::*;
    use crate::fault::Op;

    fn tell(trace: &Trace, offset: u64) {
        let range = IoRange {
            op: Op::Read,
            offset,
            len: 512,
        };
        let latency = Duration::from_micros(1500);
        trace.record(range, Completion::Done, latency, Vec::new());
    }

    fn text(listener: &Listener, size: usize) -> String {
        let bytes = listener.read(size).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn trace_listener_finds_the_requests_since_it_began() {
        let trace = Trace::default();
        tell(&trace, 0);
        assert!(!trace.is_on());
        let first = trace.listen().unwrap();
        tell(&trace, 512);
        let second = trace.listen().unwrap();
        tell(&trace, 1024);
        let seen = text(&first, 4096);
        let columns = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<_> = seen.lines().map(columns).collect();
        assert_eq!(lines[0][2..], ["read", "1", "1", "ok", "1.500ms", "-"]);
        assert_eq!(lines[1][3], "2");
        assert_eq!(text(&second, 4096).lines().count(), 1);
        assert_eq!(first.read(4096), None);
        drop((first, second));
        tell(&trace, 0);
        assert!(!trace.is_on());
    }

    #[test]
    fn trace_slow_reader_is_told_how_many_lines_it_lost() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        (0..MOST_LINES as u64 + 7).for_each(|_| tell(&trace, 0));
        let all = text(&listener, 1 << 30);
        assert_eq!(all.lines().count(), MOST_LINES + 1);
        assert_eq!(all.lines().last(), Some("# 7 lines were lost"));
        tell(&trace, 0);
        let next = text(&listener, 1 << 20);
        assert!(next.starts_with(&format!("{} ", MOST_LINES + 8)), "{next}");
    }

    #[test]
    fn trace_read_ends_between_lines_and_one_of_a_byte_ends_where_it_must() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        (0..2).for_each(|_| tell(&trace, 0));
        let first: String = (0..5).map(|_| text(&listener, 1)).collect();
        assert_eq!(&first[..2], "1 ");
        assert!(text(&listener, 60).ends_with("-\n"));
        assert!(text(&listener, 4096).starts_with("2 "));
    }

    /// When a read of `size` bytes is due at `now`, and whether it was called to be earlier.
    fn due(listener: &Listener, size: usize, now: Instant) -> (Due, Receiver<()>) {
        let (woken, is_woken) = crossbeam_channel::bounded(1);
        let wake = move || woken.send(()).unwrap();
        (listener.due(size, now, Box::new(wake)), is_woken)
    }

    #[test]
    fn trace_listener_is_woken_by_a_line_and_by_the_end() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        let later = || Instant::now() + LONGEST_REST;
        let (waits, is_woken) = due(&listener, 4096, later());
        assert_eq!(waits, Due::Woken);
        assert!(is_woken.try_recv().is_err());
        tell(&trace, 0);
        is_woken.try_recv().unwrap();
        assert_eq!(due(&listener, 4096, later()).0, Due::Now);
        assert_eq!(text(&listener, 4096).lines().count(), 1);
        let (waits, is_woken) = due(&listener, 4096, later());
        assert_eq!(waits, Due::Woken);
        trace.end();
        is_woken.try_recv().unwrap();
        assert_eq!(listener.read(4096), Some(Vec::new()));
        assert_eq!(trace.listen().unwrap().read(1), Some(Vec::new()));
    }

    #[test]
    fn trace_reader_rests_after_lines_and_then_gets_what_has_come() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        (0..1000).for_each(|_| tell(&trace, 0));
        let before = Instant::now();
        assert_eq!(due(&listener, 1 << 20, before).0, Due::Now);
        assert_eq!(text(&listener, 1 << 20).lines().count(), 1000);
        let Due::At(until) = due(&listener, 1 << 20, before).0 else {
            panic!("it does not rest");
        };
        assert!(until >= before + LONGEST_REST);
        let (_, is_woken) = due(&listener, 1 << 20, before);
        tell(&trace, 0);
        assert!(is_woken.try_recv().is_err(), "it rests");
        let rested = Instant::now() + LONGEST_REST;
        assert_eq!(due(&listener, 1 << 20, rested).0, Due::Now);
    }

    #[test]
    fn trace_reader_rests_no_longer_than_until_a_read_is_full_and_not_within_a_line() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        (0..100).for_each(|_| tell(&trace, 0));
        assert_eq!(text(&listener, 1 << 20).lines().count(), 100);
        let now = Instant::now();
        let (waits, is_woken) = due(&listener, 1000, now);
        assert!(matches!(waits, Due::At(_)), "{waits:?}");
        (0..24).for_each(|_| tell(&trace, 0));
        assert!(is_woken.try_recv().is_err());
        (0..10).for_each(|_| tell(&trace, 0));
        is_woken.try_recv().unwrap();
        assert_eq!(due(&listener, 1000, now).0, Due::Now);
        let part = text(&listener, 10);
        assert!(!part.contains('\n'));
        assert_eq!(due(&listener, 1000, now).0, Due::Now);
        assert_eq!(
            format!("{part}{}", text(&listener, 1 << 20))
                .lines()
                .count(),
            34
        );
    }

    #[test]
    fn trace_lines_that_a_read_has_begun_count_among_those_that_wait() {
        let trace = Trace::default();
        let listener = trace.listen().unwrap();
        (0..MOST_LINES).for_each(|_| tell(&trace, 0));
        let first = text(&listener, 1000).lines().count();
        (0..2 * first).for_each(|_| tell(&trace, 0));
        let rest = text(&listener, 1 << 30);
        let lost = rest.lines().last().unwrap().strip_prefix("# ").unwrap();
        let lost: usize = lost.split(' ').next().unwrap().parse().unwrap();
        let found = first + rest.lines().count() - 1;
        assert_eq!(found + lost, MOST_LINES + 2 * first);
        // One more than it returned may be text already.
        assert!(lost + 1 >= first, "{lost} {first}");
    }

    #[test]
    fn trace_has_a_limited_number_of_listeners() {
        let trace = Trace::default();
        let all: Vec<_> = (0..MOST_LISTENERS)
            .map(|_| trace.listen().unwrap())
            .collect();
        assert!(trace.listen().is_none());
        drop(all);
        assert!(trace.listen().is_some());
    }
}
