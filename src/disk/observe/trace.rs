//! The trace of a disk: a line for each request that was answered, for its listeners.
//!
//! Without a listener no line is made. A listener that reads too slowly loses lines and finds out
//! how many; requests never wait for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::decided::Decided;
use crate::fault::{Armed, IoRange};
use crate::os::sys;
use crate::protocol::{
    Answered, Completion, DecisionsLine, EventLine, Note, Noted, TraceLine, Verdict,
};

/// Lines that wait for a listener; later ones are lost to it.
const MOST_LINES: usize = 1 << 14;
/// Listeners of one disk.
const MOST_LISTENERS: usize = 16;

/// Called when a listener has something to read.
pub type Wake = Box<dyn FnOnce() + Send>;

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

/// A line for listeners: it prints as its [`TraceLine`], in `ctl/events` as its [`EventLine`], in `decisions` as its
/// [`DecisionsLine`].
#[derive(Clone)]
struct Line {
    sequence: u64,
    /// When it happened, by the clock of dmesg.
    time: Duration,
    what: What,
}

#[derive(Clone)]
enum What {
    Answered(Request),
    Noted(Arc<Note>),
    Event(Arc<EventLine>),
    Decided(Arc<Decided>),
    Remark(&'static str),
}

/// An answered request.
#[derive(Clone)]
struct Request {
    range: IoRange,
    completion: Completion,
    latency: Duration,
    rules: Vec<Arc<Armed>>,
}

impl Trace {
    /// A new listener, which listens until it is dropped. None when there are too many.
    pub fn listen(&self) -> Option<Arc<Listener>> {
        let mut state = self.state.lock();
        state.forget_gone();
        if state.listeners.len() >= MOST_LISTENERS {
            return None;
        }
        let listener = Listener::default();
        *listener.unread.lock() = Unread {
            next: state.sequence + 1,
            newest: state.sequence,
            ended: state.ended,
            ..Unread::default()
        };
        let listener = Arc::new(listener);
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
                latency,
                rules,
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
            time,
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
            listener.unread.lock().ended = true;
            listener.wake();
        }
    }
}

impl State {
    fn forget_gone(&mut self) {
        self.listeners
            .retain(|listener| listener.strong_count() > 0);
    }
}

/// A listener, and the lines that it has not read yet.
#[derive(Default)]
pub struct Listener {
    unread: Mutex<Unread>,
}

#[derive(Default)]
struct Unread {
    lines: VecDeque<Line>,
    /// The lines that a read has begun.
    text: Vec<u8>,
    /// The number of the line after those that were read.
    next: u64,
    /// The number of the latest line, lost or not.
    newest: u64,
    ended: bool,
    wake: Option<Wake>,
}

impl Listener {
    /// Adds a line, or loses it. Returns the wake-up call that is due.
    fn push(&self, line: &Line) -> Option<Wake> {
        let mut unread = self.unread.lock();
        unread.newest = line.sequence;
        if unread.lines.len() < MOST_LINES {
            unread.lines.push_back(line.clone());
        }
        unread.wake.take()
    }

    fn wake(&self) {
        let wake = self.unread.lock().wake.take();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Up to `size` bytes of lines, cut between lines where there is one in reach; None when there is
    /// none yet, nothing at the end.
    pub fn read(&self, size: usize) -> Option<Vec<u8>> {
        let mut unread = self.unread.lock();
        unread.fill(size);
        let is_answer = !unread.text.is_empty() || size == 0 || unread.ended;
        is_answer.then(|| unread.take(size))
    }

    /// Whether a read would find something, or the end. If not, `wake` is called once when it
    /// would.
    pub fn is_ready(&self, wake: Wake) -> bool {
        let mut unread = self.unread.lock();
        let is_ready = !unread.text.is_empty() || !unread.lines.is_empty() || unread.ended;
        if !is_ready {
            unread.wake = Some(wake);
        }
        is_ready
    }
}

impl Unread {
    /// Makes text of lines until there are `size` bytes.
    fn fill(&mut self, size: usize) {
        while self.text.len() < size {
            let line = self.lines.pop_front();
            let up_to = line.as_ref().map_or(self.newest + 1, |line| line.sequence);
            if up_to > self.next {
                self.say(&format!("{}\n", TraceLine::Lost(up_to - self.next)));
            }
            self.next = up_to;
            let Some(line) = line else { return };
            self.say(&format!("{line}\n"));
            self.next += 1;
        }
    }

    fn say(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn take(&mut self, size: usize) -> Vec<u8> {
        let mut end = self.text.len().min(size);
        if end < self.text.len() {
            let whole = self.text[..end].iter().rposition(|byte| *byte == b'\n');
            end = whole.map_or(end, |newline| newline + 1);
        }
        let rest = self.text.split_off(end);
        std::mem::replace(&mut self.text, rest)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Answered(request) => request.answered(self.sequence, self.time).fmt(f),
            What::Noted(note) => {
                let noted = Noted {
                    sequence: self.sequence,
                    time: self.time,
                    note: Note::clone(note),
                };
                noted.fmt(f)
            }
            What::Event(event) => event.fmt(f),
            What::Decided(decided) => decided.line(self.sequence).fmt(f),
            What::Remark(text) => DecisionsLine::Remark((*text).to_owned()).fmt(f),
        }
    }
}

impl Request {
    fn answered(&self, sequence: u64, time: Duration) -> Answered<'_> {
        let (sector, count) = self.range.sectors();
        let rules = self.rules.iter();
        let effects = rules.filter_map(|armed| armed.rule.action.kind().effect());
        Answered {
            sequence,
            time,
            op: self.range.op,
            sector,
            count,
            verdict: Verdict {
                effects: effects.collect(),
                completion: self.completion,
            },
            latency: self.latency,
            rules: Armed::texts(&self.rules).into(),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn trace_listener_is_woken_by_a_line_and_by_the_end() {
        let trace = Arc::new(Trace::default());
        let listener = trace.listen().unwrap();
        let (woken, is_woken) = crossbeam_channel::bounded(1);
        let wake = || {
            let woken = woken.clone();
            Box::new(move || woken.send(()).unwrap()) as Wake
        };
        assert!(!listener.is_ready(wake()));
        tell(&trace, 0);
        is_woken.try_recv().unwrap();
        assert!(listener.is_ready(wake()));
        assert_eq!(text(&listener, 4096).lines().count(), 1);
        assert!(!listener.is_ready(wake()));
        trace.end();
        is_woken.try_recv().unwrap();
        assert_eq!(listener.read(4096), Some(Vec::new()));
        assert_eq!(trace.listen().unwrap().read(1), Some(Vec::new()));
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
