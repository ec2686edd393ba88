//! Looking out for the next request for a while before sleeping.
//!
//! A client that waits for each answer sends its next request some microseconds after it; to fall
//! asleep and be woken costs more than to look that long. One thread looks at a time. It makes way
//! for whoever else wants its processor, and looks more seldom where it looked in vain, and where
//! the next request was always there already.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::os::sys;

/// How long a look may take: a few times what a client takes that waits for each answer.
const LOOK: Duration = Duration::from_micros(50);
/// So many looks in vain are nothing.
const FEW: u32 = 2;
/// How many requests at most go by between two looks that find nothing.
const SELDOM: u32 = 127;
/// How many requests at most go by between two looks that find one at once.
const OFTEN: u32 = 15;
/// So many of those in a row are a backlog.
const BACKLOG: u32 = 64;

/// The way to see whether a request waits.
#[derive(Debug)]
pub(super) struct Lookout {
    device: OwnedFd,
    is_taken: AtomicBool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One request after the other waits: more than one thread can serve.
    Backlog,
    /// A request waits.
    Request,
    /// None came.
    Nothing,
}

/// What a thread has learnt from its looks.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Requests to serve before the next look.
    skip: u32,
    /// Looks in a row that found nothing.
    in_vain: u32,
    /// Looks in a row that found a request at once.
    at_once: u32,
}

impl Lookout {
    /// Looks at `device`, a descriptor of the FUSE connection.
    pub(super) fn new(device: OwnedFd) -> Self {
        Self {
            device,
            is_taken: AtomicBool::new(false),
        }
    }

    /// Returns when a request waits, or when there is none for a while. None when it did not look.
    pub(super) fn look(&self, patience: &mut Patience) -> Option<Found> {
        if patience.skips() || self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let start = Instant::now();
        let at_once = sys::is_readable(&self.device);
        let mut found = at_once;
        while !found && start.elapsed() < LOOK {
            std::thread::yield_now();
            found = sys::is_readable(&self.device);
        }
        self.is_taken.store(false, Ordering::Release);
        Some(patience.learn(found, at_once))
    }
}

impl Patience {
    fn skips(&mut self) -> bool {
        let skips = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        skips
    }

    fn learn(&mut self, found: bool, at_once: bool) -> Found {
        self.at_once = if at_once { self.at_once + 1 } else { 0 };
        self.in_vain = if found { 0 } else { self.in_vain + 1 };
        if at_once {
            self.skip = self.at_once.min(OFTEN);
        } else if self.in_vain > FEW {
            self.skip = SELDOM.min((1 << (self.in_vain - FEW).min(31)) - 1);
        }
        match found {
            true if self.at_once >= BACKLOG => Found::Backlog,
            true => Found::Request,
            false => Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn lookout() -> (Lookout, std::io::PipeReader, std::io::PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        let device = reader.try_clone().unwrap();
        (Lookout::new(device.into()), reader, writer)
    }

    #[test]
    fn who_looks_in_vain_looks_more_and_more_seldom() {
        let (lookout, _reader, mut writer) = lookout();
        let mut patience = Patience::default();
        let mut between = Vec::new();
        for _ in 0..12 {
            let mut skipped = 0;
            while lookout.look(&mut patience).is_none() {
                skipped += 1;
            }
            between.push(skipped);
        }
        assert_eq!(between, [0, 0, 0, 1, 3, 7, 15, 31, 63, 127, 127, 127]);
        writer.write_all(b"x").unwrap();
        while lookout.look(&mut patience).is_none() {}
        assert_eq!(patience.in_vain, 0);
    }

    #[test]
    fn what_waits_at_each_look_is_a_backlog_and_what_comes_soon_is_none() {
        let (lookout, mut reader, mut writer) = lookout();
        let mut patience = Patience::default();
        writer.write_all(b"x").unwrap();
        let mut looks = 0;
        loop {
            match lookout.look(&mut patience) {
                Some(Found::Backlog) => break,
                Some(found) => assert_eq!(found, Found::Request),
                None => continue,
            }
            looks += 1;
        }
        assert_eq!(looks, BACKLOG - 1);
        reader.read_exact(&mut [0]).unwrap();
        patience.skip = 0;
        assert_eq!(lookout.look(&mut patience), Some(Found::Nothing));
        assert_eq!(patience.at_once, 0);
    }

    #[test]
    fn one_thread_looks_at_a_time() {
        let (lookout, _reader, _writer) = lookout();
        lookout.is_taken.store(true, Ordering::SeqCst);
        assert_eq!(lookout.look(&mut Patience::default()), None);
    }
}
