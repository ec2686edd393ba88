//! Waiting for word whether a close was the last one.
//!
//! A `>` that nothing is written after clears the set when the file is closed for the last time. The
//! kernel tells of each close while the client waits for our answer, but of the last one only
//! afterwards, ahead of what the client asks next. Requests that come in between wait for that word:
//! another thread may be about to act on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Word of a last close comes within microseconds. Without it another process has the file open: one that
/// inherited it, say.
const WORD: Duration = Duration::from_millis(10);
/// Once word has come, its consequences take less.
const DONE: Duration = Duration::from_secs(1);

/// Whether there was a close that may have been the last one.
#[derive(Debug, Default)]
pub(in crate::disk) struct Settling {
    is_expected: AtomicBool,
    until: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Settling {
    /// There was one, now.
    pub(in crate::disk) fn expect(&self) {
        self.set(WORD);
    }

    /// It was the last one: its consequences are being carried out.
    pub(in crate::disk) fn begin(&self) {
        self.set(DONE);
    }

    fn set(&self, longest: Duration) {
        let deadline = Some(Instant::now() + longest);
        let mut until = self.until.lock();
        *until = deadline.max(*until);
        self.is_expected.store(true, Ordering::SeqCst);
    }

    /// It is known whether it was the last one, and the consequences are carried out.
    pub(in crate::disk) fn settled(&self) {
        if self.is_expected() {
            *self.until.lock() = None;
            self.is_expected.store(false, Ordering::SeqCst);
            self.changed.notify_all();
        }
    }

    #[inline]
    pub(in crate::disk) fn is_expected(&self) -> bool {
        self.is_expected.load(Ordering::SeqCst)
    }

    /// Waits until it is known, for as long as word may take.
    pub(in crate::disk) fn wait(&self) {
        if !self.is_expected() {
            return;
        }
        let mut until = self.until.lock();
        while let Some(deadline) = *until {
            let timed_out = self.changed.wait_until(&mut until, deadline).timed_out();
            if timed_out && *until == Some(deadline) {
                *until = None;
                self.is_expected.store(false, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_ends_at_word_or_soon_without_it() {
        let settling = Settling::default();
        settling.wait();
        settling.expect();
        settling.begin();
        settling.set(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| settling.wait());
            std::thread::sleep(WORD * 5);
            assert!(!waiting.is_finished());
            settling.settled();
            waiting.join().unwrap();
        });
        assert!(!settling.is_expected());
        let begun = Instant::now();
        settling.expect();
        settling.wait();
        assert!(begun.elapsed() >= WORD);
        assert!(!settling.is_expected());
    }
}
