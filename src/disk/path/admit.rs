//! The end of a disk: a disk of fixed size does not grow, as no block device does; any other grows to
//! what is written behind its end, as a file does.

use std::io;

use super::Request;
use crate::disk::Disk;
use crate::protocol::Errno;

const FULL: Errno = Errno(libc::ENOSPC);

impl Disk {
    /// What of a request reaches the disk. Of a write across the end of a fixed disk that is the part
    /// before the end; at the end and behind it there is no space.
    pub(in crate::disk) fn admit<'a>(&self, request: Request<'a>) -> Result<Request<'a>, Errno> {
        if !self.asks_for_end(&request) {
            return Ok(request);
        }
        let end = request.offset().saturating_add(request.len());
        match request {
            Request::Write { offset, data } => {
                let room = self.live_size()?.saturating_sub(offset);
                match room {
                    0 if !data.is_empty() => Err(FULL),
                    _ => Ok(Request::Write { offset, data }.cut(room)),
                }
            }
            Request::Zero {
                keep_size: false, ..
            } if end > self.live_size()? => Err(FULL),
            other => Ok(other),
        }
    }

    /// Whether the host has to say where the disk ends: the request may reach past it.
    pub(in crate::disk) fn asks_for_end(&self, request: &Request<'_>) -> bool {
        let grows = match request {
            Request::Write { .. } => true,
            Request::Zero { keep_size, .. } => !keep_size,
            _ => false,
        };
        let end = request.offset().saturating_add(request.len());
        self.fixed && grows && end > self.known_size()
    }

    /// Reserves storage for the range; the image grows to its end unless `keep_size`.
    pub fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        if !keep_size {
            self.must_hold(offset.saturating_add(len))?;
        }
        self.image.allocate(offset, len, keep_size)?;
        if !keep_size {
            self.questions.learn_end(offset.saturating_add(len));
        }
        Ok(())
    }

    /// Extends the image to `len` bytes.
    pub fn grow(&self, len: u64) -> io::Result<()> {
        self.must_hold(len)?;
        self.image.set_len(len)?;
        self.questions.learn_end(len);
        Ok(())
    }

    /// ENOSPC where a fixed disk ends before `end`.
    fn must_hold(&self, end: u64) -> io::Result<()> {
        match self.fixed && end > self.size()? {
            true => Err(FULL.into()),
            false => Ok(()),
        }
    }

    fn live_size(&self) -> Result<u64, Errno> {
        self.size().map_err(|error| Errno::of(&error))
    }
}
