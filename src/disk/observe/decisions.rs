//! The decisions of a disk: a line for each rule that acts on a request, for those who read `decisions`.
//!
//! While somebody does, requests are counted and decided in one order. Otherwise nothing is counted.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::decided::Decided;
use super::listener::Listener;
use super::touches::{Entered, Touches};
use super::trace::Trace;
use crate::fault::{Client, FaultSet, Firing, IoRange, Record, Rule};
use crate::os::sys;

/// Said when no more requests can be counted.
const FORGOTTEN: &str = "too many requests to count: `touch=` of the rules that are armed now is not known from here on";
const NOT_KNOWN: &str = "there were too many requests to count";
const RETURNED: &str = "a checkpoint has gone back to the rule as it was before";

/// The decisions of a disk.
#[derive(Default)]
pub struct Decisions {
    stream: Trace,
    /// Held while a request meets rules, if somebody reads: so counting and deciding have one order.
    touches: Mutex<Touches>,
}

/// The right to meet rules, while requests are counted.
pub(in crate::disk) struct Recorder<'a> {
    stream: &'a Trace,
    touches: MutexGuard<'a, Touches>,
}

impl Decisions {
    /// A new reader. None when there are too many. The first one begins the count.
    pub fn listen(&self) -> Option<Arc<Listener>> {
        self.stream.listen()
    }

    /// Every reader, those to come too, finds the end.
    pub fn end(&self) {
        self.stream.end();
    }

    /// Whether somebody reads.
    #[inline]
    pub(in crate::disk) fn are_read(&self) -> bool {
        self.stream.is_on()
    }

    /// The right to meet rules; None, and no wait, unless somebody reads.
    #[inline]
    pub(in crate::disk) fn recorder(&self) -> Option<Recorder<'_>> {
        match self.are_read() {
            true => self.begin(),
            false => None,
        }
    }

    #[cold]
    fn begin(&self) -> Option<Recorder<'_>> {
        let mut touches = self.touches.lock();
        if !self.stream.has_listeners() {
            *touches = Touches::default();
            return None;
        }
        Some(Recorder {
            stream: &self.stream,
            touches,
        })
    }
}

impl Recorder<'_> {
    /// Says which rules the request meets.
    pub(in crate::disk) fn meet(&mut self, faults: &Arc<FaultSet>) {
        self.touches.meet(faults, self.stream.latest());
    }

    /// Whether a rule passes by the sector calls of a test.
    pub(in crate::disk) fn tells_clients_apart(&self) -> bool {
        self.touches.tells_clients_apart()
    }

    /// Counts a request that no rule is for.
    pub(in crate::disk) fn pass(&mut self, range: IoRange, client: Client, entered: &mut Entered) {
        self.note(range, client, &Entered::all_stages(), entered);
    }

    /// Counts a request to which this has happened, and tells of the rules that acted.
    pub(in crate::disk) fn note(
        &mut self,
        range: IoRange,
        client: Client,
        record: &Record,
        entered: &mut Entered,
    ) {
        if self.touches.count(range, client, &record.stages, entered) {
            self.stream.remark(FORGOTTEN);
        }
        // The time tells what is of one request.
        let (time, mut replays) = (sys::monotonic(), Vec::new());
        for firing in &record.firings {
            let decided = self.decided(firing, range, time, &mut replays);
            self.stream.decided(decided);
        }
    }

    /// `replays` are those of the same request so far.
    fn decided(
        &self,
        firing: &Firing,
        range: IoRange,
        time: Duration,
        replays: &mut Vec<Rule>,
    ) -> Decided {
        let at = firing.at(range);
        let touch = self.touches.touch(firing, range.op, &at);
        let replay = touch.number.map(|number| {
            let replay = firing.replay(range.op, at, number);
            let replay = replay.unlike(|rule| replays.contains(rule));
            replays.push(replay.clone());
            replay
        });
        Decided {
            time,
            range,
            touch,
            rule: Arc::clone(&firing.rule),
            note: firing.note.or_else(|| {
                let why = if firing.rule.is_returned {
                    RETURNED
                } else {
                    NOT_KNOWN
                };
                replay.is_none().then_some(why)
            }),
            replay,
        }
    }
}
