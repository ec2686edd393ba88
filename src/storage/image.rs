//! What a disk asks of the storage below it.

use std::fs::File;
use std::io;

/// Which kind of extent a seek looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The next byte that is stored.
    Data,
    /// The next byte that is not; the end of the image counts as one.
    Hole,
}

/// Storage that a disk is backed by. Offsets and lengths are in bytes.
///
/// Errors are passed on as they are, EINTR too: a caller that repeats them would never end where storage answers nothing else.
///
/// Any thread may call any method at any time; requests whose ranges overlap and that run at the
/// same time may be done in either order, as on a real disk.
pub trait Image: Send + Sync {
    /// Fills `buffer` from `offset`; returns fewer bytes only at the end of the image.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes the first bytes of `data` at `offset`, as many as it can at once; returns how many.
    fn write_some(&self, data: &[u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.write_part(data, offset).1
    }
    /// Writes as much of `data` at `offset` as it can. Returns how many bytes that are, and why they
    /// are not all.
    fn write_part(&self, data: &[u8], offset: u64) -> (usize, io::Result<()>) {
        let mut done = 0;
        while done < data.len() {
            match self.write_some(&data[done..], offset + done as u64) {
                Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }
    /// Makes everything written before durable; metadata too, unless `data_only`.
    fn flush(&self, data_only: bool) -> io::Result<()>;
    /// Gives the range back; it reads as zeros and the size stays.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes the range read as zeros; the image grows to its end unless `keep_size`.
    fn write_zeroes(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()>;
    /// Reserves storage for the range without changing what it reads as.
    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()>;
    /// Cuts or extends the image; what is new reads as zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The size now.
    fn size(&self) -> io::Result<u64>;
    /// Where the next extent of that kind starts, at `offset` or after it; ENXIO past the end.
    fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64>;
    /// Makes `file`, which is empty, share all its blocks, where the file system can do that.
    fn clone_to(&self, _file: &File) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
    /// How many 512-byte blocks the host has stored for it.
    fn blocks(&self) -> io::Result<u64>;
    /// Whether it can only be read.
    fn read_only(&self) -> bool;
    /// Keeps others from it, where it can be shared at all; false when another server has it.
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }
    /// Leaves it to others, until [`lock`](Self::lock).
    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}
