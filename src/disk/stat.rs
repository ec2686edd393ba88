//! The size of an image, for those that must not wait as long as its storage may take.
//!
//! One thread of the pool asks the host at a time. An answer is for all that asked before the question
//! began; where it does not come soon, they get what was known last.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Disk;
use crate::protocol::Errno;
use crate::storage::Image;

/// How long to wait for what storage has to say.
const SOON: Duration = Duration::from_millis(20);

/// What the host says of an image.
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

/// The questions about an image, numbered from 1.
pub(super) struct Questions {
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
    /// Of the latest answer that was no error.
    blocks: u64,
    /// Somebody waits for the question after the one that is being asked.
    again: bool,
}

/// A question that somebody waits for; without a number it is hopeless.
pub(super) struct Question {
    number: Option<u64>,
    deadline: Instant,
}

impl Questions {
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
    pub(super) fn known_size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Somebody has found out the size.
    pub(super) fn learn_size(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    /// There is something before `end`.
    #[inline]
    pub(super) fn learn_end(&self, end: u64) {
        if end > self.known_size() {
            self.size.fetch_max(end, Ordering::Relaxed);
        }
    }
}

impl Disk {
    /// Size and blocks, now; as they were known last where the storage does not answer soon. Not for
    /// a loop thread: it waits.
    pub fn stat_soon(self: &Arc<Self>) -> Result<ImageStat, Errno> {
        let question = self.ask();
        self.wait_for(&question)
    }

    /// Begins a question, for [`wait_for`](Self::wait_for).
    pub(super) fn ask(self: &Arc<Self>) -> Question {
        let now = Instant::now();
        let mut state = self.questions.state.lock();
        let is_being_asked = state.begun > state.answered;
        let number = if !is_being_asked {
            state.begun += 1;
            state.began = now;
            let disk = Arc::clone(self);
            self.delays
                .pool()
                .run(self.owner, move || disk.put_questions());
            Some(state.begun)
        } else if now - state.began >= SOON {
            None
        } else {
            state.again = true;
            Some(state.begun + 1)
        };
        Question {
            number,
            deadline: now + SOON,
        }
    }

    pub(super) fn wait_for(&self, question: &Question) -> Result<ImageStat, Errno> {
        let mut state = self.questions.state.lock();
        let known = ImageStat {
            size: self.known_size(),
            blocks: state.blocks,
        };
        let Some(number) = question.number else {
            return Ok(known);
        };
        while state.answered < number {
            let answered = &self.questions.answered;
            if answered
                .wait_until(&mut state, question.deadline)
                .timed_out()
            {
                break;
            }
        }
        match state.answered < number {
            true => Ok(known),
            false => state.answer,
        }
    }

    /// Asks the host until nobody has asked since.
    fn put_questions(&self) {
        loop {
            let answer = self.stat().map_err(|error| Errno::of(&error));
            let mut state = self.questions.state.lock();
            state.answered = state.begun;
            state.answer = answer;
            state.blocks = answer.map_or(state.blocks, |stat| stat.blocks);
            self.questions.answered.notify_all();
            if !std::mem::take(&mut state.again) {
                return;
            }
            state.begun += 1;
            state.began = Instant::now();
        }
    }
}
