//! The size of an image as it is known, and the questions about it, for threads that must not wait as long
//! as its storage may take.
//!
//! One thread of the pool asks the host at a time. An answer is for all callers that asked before the
//! question began; where it does not come soon, they get the size that was known last.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::protocol::Errno;
use crate::storage::Image;

/// How long to wait for an answer of the storage.
const SOON: Duration = Duration::from_millis(20);

/// Size and blocks of an image on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageStat {
    /// In bytes.
    pub size: u64,
    /// How many 512-byte blocks are stored for it.
    pub blocks: u64,
}

impl ImageStat {
    /// Asks the host, and takes as long as that takes.
    pub(super) fn of(image: &dyn Image) -> io::Result<Self> {
        Ok(Self {
            size: image.size()?,
            blocks: image.blocks()?,
        })
    }
}

/// The size that is known, and the questions about it, numbered from 1.
pub(super) struct Sizes {
    state: Mutex<State>,
    answered: Condvar,
    /// The size as it was known last.
    size: AtomicU64,
}

struct State {
    /// The latest that began.
    begun: u64,
    began: Instant,
    /// The latest that was answered, and how.
    answered: u64,
    answer: Result<ImageStat, Errno>,
    /// Of the latest answer that was not an error.
    blocks: u64,
    /// A caller waits for the question after the one that is being asked.
    again: bool,
}

/// A question that a caller waits for; without a number it is hopeless.
pub(super) struct Question {
    number: Option<u64>,
    deadline: Instant,
}

impl Sizes {
    pub(super) fn new(known: ImageStat) -> Self {
        Self {
            state: Mutex::new(State {
                begun: 0,
                began: Instant::now(),
                answered: 0,
                answer: Ok(known),
                blocks: known.blocks,
                again: false,
            }),
            answered: Condvar::new(),
            size: AtomicU64::new(known.size),
        }
    }

    /// The size as it was known last.
    #[inline]
    pub(super) fn known(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// The host has told the size.
    pub(super) fn learn(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    /// There is something before `end`.
    #[inline]
    pub(super) fn learn_end(&self, end: u64) {
        if end > self.known() {
            self.size.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// A question for [`wait`](Self::wait), and whether the caller has to see that it is asked.
    pub(super) fn ask(&self) -> (Question, bool) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let is_first = state.begun == state.answered;
        let number = if is_first {
            state.begin(now);
            Some(state.begun)
        } else if now - state.began >= SOON {
            None
        } else {
            state.again = true;
            Some(state.begun + 1)
        };
        let deadline = now + SOON;
        (Question { number, deadline }, is_first)
    }

    /// Answers all callers that asked before the question began; returns whether others have asked since.
    pub(super) fn answer(&self, answer: Result<ImageStat, Errno>) -> bool {
        let mut state = self.state.lock();
        state.answered = state.begun;
        state.answer = answer;
        state.blocks = answer.map_or(state.blocks, |stat| stat.blocks);
        self.answered.notify_all();
        let again = std::mem::take(&mut state.again);
        if again {
            state.begin(Instant::now());
        }
        again
    }

    /// The answer; the last known size where it does not come soon.
    pub(super) fn wait(&self, question: &Question) -> Result<ImageStat, Errno> {
        let mut state = self.state.lock();
        let known = ImageStat {
            size: self.known(),
            blocks: state.blocks,
        };
        let Some(number) = question.number else {
            return Ok(known);
        };
        while state.answered < number {
            let waited = self.answered.wait_until(&mut state, question.deadline);
            if waited.timed_out() {
                break;
            }
        }
        match state.answered < number {
            true => Ok(known),
            false => state.answer,
        }
    }
}

impl State {
    fn begin(&mut self, now: Instant) {
        self.begun += 1;
        self.began = now;
    }
}
