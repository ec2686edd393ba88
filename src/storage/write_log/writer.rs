//! Writing a write log: places are given out in the order of the log and filled side by side. Small records are
//! collected in memory and written many at once, at the latest when the superblock is to count them: nobody finds
//! an entry before that. To write many takes as long as to serve many requests: a thread that only does that may.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};

use super::format::{ENTRY_BYTES, Superblock};
use super::places::{Due, Filled, Places, Slot};
use super::record::Record;

/// The text of the mark at the end of a log.
pub const END_MARK: &str = "dm-log-writes-end";

/// Entries of a discard that are written at once.
const AT_ONCE: usize = 16;

/// Parts of one call that writes.
const PARTS: usize = 512;

/// A log that is being written.
///
/// The superblock counts the entries of its beginning that are in the file, and is written again at each flush and
/// mark. After the first error the log takes nothing more, and what is in the file of it can be read.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    places: Mutex<Places>,
    /// No place is being filled.
    is_idle: Condvar,
    /// Held to write what is in memory, and the superblock.
    out: Mutex<Out>,
    /// The error number of what has ended it.
    failure: OnceLock<i32>,
    helper: Helper,
}

/// Has what is collected written.
struct Helper {
    ask: Box<dyn Fn(Arc<LogWriter>) -> io::Result<()> + Send + Sync>,
    is_asked: AtomicBool,
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Helper").field(&self.is_asked).finish()
    }
}

/// What has been written by those who hold it.
#[derive(Debug, Default)]
struct Out {
    /// How many entries the superblock counts.
    counted: u64,
    /// A record that was collected is not in the file: nothing behind it counts.
    is_broken: bool,
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
    /// Where the record is collected; None for one that is written by itself.
    buffer: Option<Vec<u8>>,
    record: Record,
}

impl LogWriter {
    /// Begins a log in `file`, which is empty. Where much is collected, `ask` is called with the log, and is to
    /// [`help`](Self::help) it, or to have another thread do so; without that the log writes nothing before its next
    /// flush.
    pub fn begin(
        file: File,
        ask: impl Fn(Arc<Self>) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let helper = Helper {
            ask: Box::new(ask),
            is_asked: AtomicBool::new(false),
        };
        let log = Self {
            file,
            places: Mutex::new(Places::new()),
            is_idle: Condvar::new(),
            out: Mutex::default(),
            failure: OnceLock::new(),
            helper,
        };
        log.write(&mut [IoSlice::new(&superblock(0))], 0)?;
        Ok(log)
    }

    /// Gives the next place in the log to `record`. Does no I/O: call it where the order of records is known.
    ///
    /// Where the log has ended, and for a record without sectors or text, that is a place which writes
    /// nothing.
    pub fn reserve(self: &Arc<Self>, record: Record) -> Place {
        let mut places = self.places.lock();
        match places.has_ended {
            true => Place(None),
            false => self.place(&mut places, record),
        }
    }

    fn place(self: &Arc<Self>, places: &mut Places, record: Record) -> Place {
        if self.has_failed() || record.is_empty() {
            return Place(None);
        }
        let (number, at, buffer) = places.reserve(&record);
        Place(Some(Reserved {
            log: Arc::clone(self),
            number,
            at,
            buffer,
            record,
        }))
    }

    /// Ends the log with a mark, waits until all its places are filled, and makes it durable.
    ///
    /// Errors: what has ended the log before, unless a place has returned that.
    pub fn finish(self: &Arc<Self>) -> io::Result<()> {
        let mut places = self.places.lock();
        if places.has_ended {
            return Ok(());
        }
        let end = self.place(&mut places, Record::Mark(END_MARK.into()));
        places.has_ended = true;
        drop(places);
        let marked = end.fill(&[]);
        let mut places = self.places.lock();
        while places.under_way > 0 {
            self.is_idle.wait(&mut places);
        }
        drop(places);
        let counted = self.told(self.count());
        let synced = self.told(rustix::fs::fsync(&self.file).map_err(io::Error::from));
        marked.and(counted).and(synced)
    }

    /// Its entries and its bytes so far: what a reader would find if it ended now.
    pub fn len(&self) -> (u64, u64) {
        let places = self.places.lock();
        let len = if self.has_failed() {
            places.in_file
        } else {
            places.whole
        };
        (len.entries, len.bytes)
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
    fn settle(self: &Arc<Self>, number: u64, result: io::Result<Filled>) -> io::Result<()> {
        let (filled, result) = match result {
            Ok(filled) => (Some(filled), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Before the place is settled: the last one that is counts what is whole of a log that has failed.
        let told = self.told(result);
        let mut places = self.places.lock();
        let due = places.settle(number, filled);
        let is_idle = places.under_way == 0;
        drop(places);
        let written = match due {
            _ if self.has_failed() => self.told(self.count()),
            Due::Count => self.told(self.count()),
            Due::Write => self.have_written(),
            Due::Nothing => Ok(()),
        };
        if is_idle {
            self.is_idle.notify_all();
        }
        told.and(written)
    }

    /// Asks for help, unless that is on its way.
    fn have_written(self: &Arc<Self>) -> io::Result<()> {
        match self.helper.is_asked.swap(true, Ordering::AcqRel) {
            true => Ok(()),
            false => (self.helper.ask)(Arc::clone(self)),
        }
    }

    /// Writes what is collected, as the log has asked for.
    ///
    /// Errors: what ends the log, for the first one who sees it.
    pub fn help(&self) -> io::Result<()> {
        let written = self.write_out();
        self.helper.is_asked.store(false, Ordering::Release);
        written
    }

    /// Writes what is whole and was collected in memory, unless another thread does that now.
    fn write_out(&self) -> io::Result<()> {
        let Some(mut out) = self.out.try_lock() else {
            return Ok(());
        };
        let written = self.told(self.write_collected(&mut out));
        drop(out);
        match self.has_failed() {
            true => written.and(self.told(self.count())),
            false => written,
        }
    }

    /// Writes what is whole, and has the superblock count it.
    fn count(&self) -> io::Result<()> {
        let mut out = self.out.lock();
        let written = self.write_collected(&mut out);
        let entries = self.places.lock().in_file.entries;
        if out.counted != entries {
            self.write(&mut [IoSlice::new(&superblock(entries))], 0)?;
            out.counted = entries;
        }
        written
    }

    fn write_collected(&self, out: &mut Out) -> io::Result<()> {
        loop {
            let slots = self.places.lock().take(PARTS);
            if slots.is_empty() {
                return Ok(());
            }
            let (whole, result) = match out.is_broken {
                true => (0, Ok(())),
                false => self.write_slots(&slots),
            };
            out.is_broken |= whole < slots.len();
            self.places.lock().note_in_file(slots, whole);
            result?;
        }
    }

    /// Writes places, of which each begins where the one before ends. Returns how many are whole in the file.
    fn write_slots(&self, slots: &[Slot]) -> (usize, io::Result<()>) {
        let mut done = 0;
        for run in slots.chunk_by(|a, b| a.is_collected() && b.is_collected()) {
            if self.write_run(run).is_err() {
                // The host may have refused all of them for the last one.
                for slot in run {
                    if let Err(error) = self.write_run(slice::from_ref(slot)) {
                        return (done, Err(error));
                    }
                    done += 1;
                }
            } else {
                done += run.len();
            }
        }
        (done, Ok(()))
    }

    /// Writes places that are collected, or one that is in the file already.
    fn write_run(&self, run: &[Slot]) -> io::Result<()> {
        let mut parts: Vec<_> = run.iter().map(|slot| IoSlice::new(slot.bytes())).collect();
        match run {
            [first, ..] if first.is_collected() => self.write(&mut parts, first.at),
            _ => Ok(()),
        }
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

impl Place {
    /// Writes the record and its data, which only a write has; that may wait for storage.
    ///
    /// Errors: what ends the log, for the first one who sees it. Everybody else is told nothing.
    pub fn fill(mut self, data: &[u8]) -> io::Result<()> {
        let Some(mut place) = self.0.take() else {
            return Ok(());
        };
        let filled = place.fill(data);
        place.log.settle(place.number, filled)
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
    /// Collects the record, or writes it.
    fn fill(&mut self, data: &[u8]) -> io::Result<Filled> {
        let end = self.at.saturating_add(self.record.len());
        if !self.record.fits() || end > i64::MAX as u64 {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        if let Record::Write(_) = &self.record
            && data.len() as u64 != self.record.data_len()
        {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        match self.buffer.take() {
            Some(buffer) => Ok(Filled::InMemory(self.encoded(data, buffer))),
            None => self.write(data, end).map(|()| Filled::InFile),
        }
    }

    /// All of its entries, and the data of a write, in `bytes`.
    fn encoded(&self, data: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reserve_exact(self.record.len() as usize);
        for number in 0..self.record.entry_count() {
            bytes.extend_from_slice(&self.record.entry(number).encode());
        }
        bytes.extend_from_slice(data);
        bytes
    }

    fn write(&self, data: &[u8], end: u64) -> io::Result<()> {
        match &self.record {
            Record::Write(_) => {
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
