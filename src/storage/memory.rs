//! An image in memory that misbehaves on demand: the twin that tests use instead of a bad disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::image::{Extent, Image};

/// Bytes in memory, an error to fail with, an end of its space, and a gate that holds every request while closed.
#[derive(Debug, Default)]
pub struct MemoryImage {
    bytes: Mutex<Vec<u8>>,
    /// 0, or the error number that every request fails with.
    failing: AtomicI32,
    /// Nothing from this byte on can be written.
    full_at: AtomicU64,
    stuck: Mutex<bool>,
    unstuck: Condvar,
    touched: AtomicU64,
    holes_sought: AtomicU64,
    read_only: AtomicBool,
}

impl MemoryImage {
    /// An image of `len` zero bytes.
    pub fn new(len: usize) -> Self {
        Self {
            bytes: Mutex::new(vec![0; len]),
            full_at: AtomicU64::new(u64::MAX),
            ..Self::default()
        }
    }

    /// Makes every later request fail with `errno`; 0 ends that.
    pub fn fail_with(&self, errno: i32) {
        self.failing.store(errno, Ordering::SeqCst);
    }

    /// Makes it an image that can only be read.
    pub fn set_read_only(&self) {
        self.read_only.store(true, Ordering::SeqCst);
    }

    /// Makes later writes find no space from byte `offset` on.
    pub fn be_full_at(&self, offset: u64) {
        self.full_at.store(offset, Ordering::SeqCst);
    }

    /// Makes every later request wait until this is called with false.
    pub fn set_stuck(&self, stuck: bool) {
        *self.stuck.lock() = stuck;
        self.unstuck.notify_all();
    }

    /// How many requests have reached the image so far, failed ones included.
    pub fn touched(&self) -> u64 {
        self.touched.load(Ordering::SeqCst)
    }

    /// How often a hole was looked for so far.
    pub fn holes_sought(&self) -> u64 {
        self.holes_sought.load(Ordering::SeqCst)
    }

    fn admit(&self) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        let mut stuck = self.stuck.lock();
        while *stuck {
            self.unstuck.wait_for(&mut stuck, Duration::from_secs(1));
        }
        match self.failing.load(Ordering::SeqCst) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn fill_zero(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.admit()?;
        let mut bytes = self.bytes.lock();
        let end = (offset + len) as usize;
        if !keep_size && bytes.len() < end {
            bytes.resize(end, 0);
        }
        let size = bytes.len();
        bytes[(offset as usize).min(size)..end.min(size)].fill(0);
        Ok(())
    }
}

impl Image for MemoryImage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.admit()?;
        let bytes = self.bytes.lock();
        let from = (offset as usize).min(bytes.len());
        let n = buffer.len().min(bytes.len() - from);
        buffer[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.admit()?;
        let mut bytes = self.bytes.lock();
        let room = self.full_at.load(Ordering::SeqCst).saturating_sub(offset);
        if room == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let data = &data[..data.len().min(room as usize)];
        let end = offset as usize + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(data);
        Ok(data.len())
    }

    fn flush(&self, _data_only: bool) -> io::Result<()> {
        self.admit()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fill_zero(offset, len, true)
    }

    fn write_zeroes(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.fill_zero(offset, len, keep_size)
    }

    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.admit()?;
        let mut bytes = self.bytes.lock();
        let end = (offset + len) as usize;
        if !keep_size && bytes.len() < end {
            bytes.resize(end, 0);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.admit()?;
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        let len = self.size()?;
        match extent {
            _ if offset >= len => Err(io::Error::from_raw_os_error(libc::ENXIO)),
            Extent::Data => Ok(offset),
            Extent::Hole => {
                self.holes_sought.fetch_add(1, Ordering::SeqCst);
                Ok(len)
            }
        }
    }

    fn blocks(&self) -> io::Result<u64> {
        Ok(self.size()?.div_ceil(512))
    }

    fn read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst)
    }
}
