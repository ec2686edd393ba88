//! Writing a write log: places are given out in the order of the log, and filled side by side.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};

use super::format::{ENTRY_BYTES, Superblock};
use super::record::Record;

/// The text of the mark at the end of a log.
pub const END_MARK: &str = "dm-log-writes-end";

/// Entries of a discard that are written at once.
const AT_ONCE: usize = 16;

/// A log that is being written.
///
/// The superblock counts the entries of its beginning that are whole, and is written again at each flush and
/// mark. After the first error the log takes nothing more, and what is whole of it can be read.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    tail: Mutex<Tail>,
    /// No place is being filled.
    is_idle: Condvar,
    /// How many entries the superblock counts. Held while that is written, so that it only grows.
    counted: Mutex<u64>,
    /// The error number of what has ended it.
    failure: OnceLock<i32>,
}

/// Where the log grows.
#[derive(Debug)]
struct Tail {
    /// What is whole from the beginning on.
    whole: Whole,
    /// The places after that, in the order of the log.
    places: VecDeque<Slot>,
    /// The number of the first of them.
    first: u64,
    /// How many are being filled.
    under_way: usize,
    /// Where the next place begins.
    next: u64,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Whole {
    entries: u64,
    bytes: u64,
}

/// A place, as the log remembers it.
#[derive(Debug)]
struct Slot {
    entries: u64,
    len: u64,
    is_filled: bool,
    /// Whether the superblock is to count it at once.
    is_counted_at_once: bool,
}

/// A place in a log for a record. One that is dropped without being filled ends the log.
/// The default is one that writes nothing.
#[must_use]
#[derive(Debug, Default)]
pub struct Place(Option<Reserved>);

#[derive(Debug)]
struct Reserved {
    log: Arc<LogWriter>,
    number: u64,
    at: u64,
    record: Record,
}

impl LogWriter {
    /// Begins a log in `file`, which is empty.
    pub fn begin(file: File) -> io::Result<Self> {
        let log = Self {
            file,
            tail: Mutex::new(Tail::new()),
            is_idle: Condvar::new(),
            counted: Mutex::new(0),
            failure: OnceLock::new(),
        };
        log.write(&mut [IoSlice::new(&superblock(0))], 0)?;
        Ok(log)
    }

    /// Gives the next place in the log to `record`. Does no I/O: call it where the order of records is known.
    ///
    /// Where the log has ended, and for a record without sectors or text, that is a place which writes
    /// nothing.
    pub fn reserve(self: &Arc<Self>, record: Record) -> Place {
        let mut tail = self.tail.lock();
        match tail.has_ended {
            true => Place(None),
            false => self.place(&mut tail, record),
        }
    }

    fn place(self: &Arc<Self>, tail: &mut Tail, record: Record) -> Place {
        if self.has_failed() || record.is_empty() {
            return Place(None);
        }
        let (number, at) = tail.reserve(&record);
        Place(Some(Reserved {
            log: Arc::clone(self),
            number,
            at,
            record,
        }))
    }

    /// Ends the log with a mark, waits until all its places are filled, and makes it durable.
    ///
    /// Errors: what has ended the log before, unless a place has returned that.
    pub fn finish(self: &Arc<Self>) -> io::Result<()> {
        let mut tail = self.tail.lock();
        if tail.has_ended {
            return Ok(());
        }
        let end = self.place(&mut tail, Record::Mark(END_MARK.into()));
        tail.has_ended = true;
        drop(tail);
        let marked = end.fill(&[]);
        let mut tail = self.tail.lock();
        while tail.under_way > 0 {
            self.is_idle.wait(&mut tail);
        }
        drop(tail);
        let counted = self.told(self.count());
        let synced = self.told(rustix::fs::fsync(&self.file).map_err(io::Error::from));
        marked.and(counted).and(synced)
    }

    /// Its entries and its bytes so far: what a reader would find if it ended now.
    pub fn len(&self) -> (u64, u64) {
        let whole = self.tail.lock().whole;
        (whole.entries, whole.bytes)
    }

    /// What has ended it before its end.
    pub fn failure(&self) -> Option<io::Error> {
        let errno = self.failure.get().copied();
        errno.map(io::Error::from_raw_os_error)
    }

    fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Ends the log at an error. Returns the error if it is the first one.
    fn told(&self, result: io::Result<()>) -> io::Result<()> {
        let Err(error) = result else { return Ok(()) };
        match self.failure.set(error.raw_os_error().unwrap_or(libc::EIO)) {
            Ok(()) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// Notes that a place is filled, or cannot be.
    fn settle(&self, number: u64, result: io::Result<()>) -> io::Result<()> {
        let is_filled = result.is_ok();
        // Before the place is settled: the last one that is counts what is whole of a log that has failed.
        let told = self.told(result);
        let mut tail = self.tail.lock();
        let must_count = tail.settle(number, is_filled) || self.has_failed();
        let is_idle = tail.under_way == 0;
        drop(tail);
        let counted = match must_count {
            true => self.told(self.count()),
            false => Ok(()),
        };
        if is_idle {
            self.is_idle.notify_all();
        }
        told.and(counted)
    }

    /// Has the superblock count what is whole.
    fn count(&self) -> io::Result<()> {
        let mut counted = self.counted.lock();
        let entries = self.len().0;
        if *counted != entries {
            self.write(&mut [IoSlice::new(&superblock(entries))], 0)?;
            *counted = entries;
        }
        Ok(())
    }

    /// Writes all of `parts`, one after the other.
    fn write(&self, mut parts: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
        while !parts.is_empty() {
            match rustix::io::pwritev(&self.file, parts, at)? {
                0 => return Err(io::Error::from_raw_os_error(libc::EIO)),
                written => {
                    IoSlice::advance_slices(&mut parts, written);
                    at += written as u64;
                }
            }
        }
        Ok(())
    }
}

impl Tail {
    fn new() -> Self {
        let superblock = ENTRY_BYTES as u64;
        Self {
            whole: Whole {
                entries: 0,
                bytes: superblock,
            },
            places: VecDeque::new(),
            first: 0,
            under_way: 0,
            next: superblock,
            has_ended: false,
        }
    }

    /// The number of the next place, and where it begins.
    fn reserve(&mut self, record: &Record) -> (u64, u64) {
        let (number, at) = (self.first + self.places.len() as u64, self.next);
        self.next = at.saturating_add(record.len());
        self.places.push_back(Slot {
            entries: record.entry_count(),
            len: record.len(),
            is_filled: false,
            is_counted_at_once: record.is_counted_at_once(),
        });
        self.under_way += 1;
        (number, at)
    }

    /// Returns whether the superblock is to count what is whole now.
    fn settle(&mut self, number: u64, is_filled: bool) -> bool {
        self.under_way -= 1;
        self.places[(number - self.first) as usize].is_filled = is_filled;
        let mut must_count = false;
        while let Some(slot) = self.places.front().filter(|slot| slot.is_filled) {
            self.first += 1;
            self.whole.entries += slot.entries;
            self.whole.bytes += slot.len;
            must_count |= slot.is_counted_at_once;
            self.places.pop_front();
        }
        must_count
    }
}

impl Place {
    /// Writes the record and its data, which only a write has.
    ///
    /// Errors: what ends the log, for the first one who sees it. Everybody else is told nothing.
    pub fn fill(mut self, data: &[u8]) -> io::Result<()> {
        match self.0.take() {
            Some(place) => place.log.settle(place.number, place.write(data)),
            None => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            let given_up = Err(io::Error::from_raw_os_error(libc::EIO));
            let _ = place.log.settle(place.number, given_up);
        }
    }
}

impl Reserved {
    fn write(&self, data: &[u8]) -> io::Result<()> {
        let end = self.at.saturating_add(self.record.len());
        if !self.record.fits() || end > i64::MAX as u64 {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        match &self.record {
            Record::Write(_) => {
                if data.len() as u64 != self.record.data_len() {
                    return Err(io::Error::from_raw_os_error(libc::EINVAL));
                }
                let header = self.record.entry(0).encode();
                let mut parts = [IoSlice::new(&header), IoSlice::new(data)];
                self.log.write(&mut parts, self.at)
            }
            Record::Zeroes(_) => {
                self.write_entries()?;
                // So that the file does not end within the hole. Cutting it to a length might cut off a record that
                // another thread has written behind this one.
                self.log.write(&mut [IoSlice::new(&[0])], end - 1)
            }
            Record::Discard(_) | Record::Flush(_) | Record::Mark(_) => self.write_entries(),
        }
    }

    fn write_entries(&self) -> io::Result<()> {
        let (count, mut done) = (self.record.entry_count(), 0);
        while done < count {
            let mut bytes = [0; ENTRY_BYTES * AT_ONCE];
            let now = AT_ONCE.min((count - done) as usize);
            for (number, entry) in bytes.chunks_mut(ENTRY_BYTES).take(now).enumerate() {
                let encoded = self.record.entry(done + number as u64).encode();
                entry.copy_from_slice(&encoded);
            }
            let at = self.at + done * ENTRY_BYTES as u64;
            let part = IoSlice::new(&bytes[..now * ENTRY_BYTES]);
            self.log.write(&mut [part], at)?;
            done += now as u64;
        }
        Ok(())
    }
}

fn superblock(entries: u64) -> [u8; ENTRY_BYTES] {
    let superblock = Superblock {
        entries,
        sector_size: 512,
    };
    superblock.encode()
}
