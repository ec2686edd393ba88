//! Polling for the next request for a while before sleeping.
//!
//! A client that waits for each answer sends its next request some microseconds after it. To fall asleep
//! and be woken costs more than to poll that long. One thread polls at a time. It yields its processor to
//! any other thread meanwhile, and polls less often after polls in vain, and where the next request was
//! always there already.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::os::poll;

/// How long a poll may take: a few times the pause of a client that waits for each answer.
const LONGEST: Duration = Duration::from_micros(50);
/// This many polls in vain do not count.
const FEW: u32 = 2;
/// How many requests at most pass without a poll after polls in vain.
const SELDOM: u32 = 127;
/// How many requests at most pass without a poll after polls that found a request at once.
const OFTEN: u32 = 15;
/// This many of those in a row are a backlog.
const BACKLOG: u32 = 64;

/// The place where threads poll for requests.
#[derive(Debug)]
pub(super) struct BusyPoll {
    device: OwnedFd,
    is_taken: AtomicBool,
}

/// The result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One request after the other waits: more than one thread can serve.
    Backlog,
    /// A request waits.
    Request,
    /// None came.
    Nothing,
}

/// How often a thread polls, by the results of its earlier polls.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Requests to serve before the next poll.
    skip: u32,
    /// Polls in a row that found nothing.
    in_vain: u32,
    /// Polls in a row that found a request at once.
    at_once: u32,
}

impl BusyPoll {
    /// Polls `device`, a descriptor of the FUSE connection.
    pub(super) fn new(device: OwnedFd) -> Self {
        Self {
            device,
            is_taken: AtomicBool::new(false),
        }
    }

    /// Returns when a request waits, or none has come for a while. None if it did not poll.
    pub(super) fn poll(&self, backoff: &mut Backoff) -> Option<Found> {
        if backoff.skips() || self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let start = Instant::now();
        let at_once = poll::is_readable(&self.device);
        let mut found = at_once;
        while !found && start.elapsed() < LONGEST {
            std::thread::yield_now();
            found = poll::is_readable(&self.device);
        }
        self.is_taken.store(false, Ordering::Release);
        Some(backoff.learn(found, at_once))
    }
}

impl Backoff {
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

    fn busy_poll() -> (BusyPoll, std::io::PipeReader, std::io::PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        let device = reader.try_clone().unwrap();
        (BusyPoll::new(device.into()), reader, writer)
    }

    #[test]
    fn poll_in_vain_makes_later_polls_more_and_more_seldom() {
        let (busy_poll, _reader, mut writer) = busy_poll();
        let mut backoff = Backoff::default();
        let mut between = Vec::new();
        for _ in 0..12 {
            let mut skipped = 0;
            while busy_poll.poll(&mut backoff).is_none() {
                skipped += 1;
            }
            between.push(skipped);
        }
        assert_eq!(between, [0, 0, 0, 1, 3, 7, 15, 31, 63, 127, 127, 127]);
        writer.write_all(b"x").unwrap();
        while busy_poll.poll(&mut backoff).is_none() {}
        assert_eq!(backoff.in_vain, 0);
    }

    #[test]
    fn request_at_each_poll_is_a_backlog_until_a_poll_finds_none() {
        let (busy_poll, mut reader, mut writer) = busy_poll();
        let mut backoff = Backoff::default();
        writer.write_all(b"x").unwrap();
        let mut polls = 0;
        loop {
            match busy_poll.poll(&mut backoff) {
                Some(Found::Backlog) => break,
                Some(found) => assert_eq!(found, Found::Request),
                None => continue,
            }
            polls += 1;
        }
        assert_eq!(polls, BACKLOG - 1);
        reader.read_exact(&mut [0]).unwrap();
        backoff.skip = 0;
        assert_eq!(busy_poll.poll(&mut backoff), Some(Found::Nothing));
        assert_eq!(backoff.at_once, 0);
    }

    #[test]
    fn poll_of_a_second_thread_is_skipped() {
        let (busy_poll, _reader, _writer) = busy_poll();
        busy_poll.is_taken.store(true, Ordering::SeqCst);
        assert_eq!(busy_poll.poll(&mut Backoff::default()), None);
    }
}
