//! The checks of a request before it is served, in one place for all front ends: whether the disk can be
//! written, whether the request is aligned, and where the disk ends.
//!
//! A disk of fixed size does not grow, as no block device does; any other grows by a write
//! behind its end, as a file does.

use std::cmp::Ordering;

use super::Request;
use crate::disk::device::Disk;
use crate::fault::IoRange;
use crate::protocol::Errno;
use crate::protocol::names::SECTOR;

const FULL: Errno = Errno(libc::ENOSPC);
const READ_ONLY: Errno = Errno(libc::EROFS);
const INVALID: Errno = Errno(libc::EINVAL);

impl Disk {
    /// Checks a request; one that fails is refused, and neither counted nor traced. EROFS for a change of
    /// a read-only disk. EINVAL for a range that no file has, and, where a request must be aligned, for
    /// a part of a sector.
    pub(super) fn check(
        &self,
        request: &Request<'_>,
        range: IoRange,
        is_aligned: bool,
    ) -> Result<(), Errno> {
        if self.read_only && request.changes() {
            return Err(READ_ONLY);
        }
        let IoRange { offset, len, .. } = range;
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Err(INVALID);
        }
        // A real disk takes only whole sectors; QEMU finds the sector size by this.
        if is_aligned && !(offset | len).is_multiple_of(SECTOR) {
            return Err(INVALID);
        }
        Ok(())
    }

    /// A request whose place is relative to the disk's end as one with a place; None where there is
    /// nothing to do. Asks the host, and takes as long as that takes.
    pub(super) fn place<'a>(&self, request: Request<'a>) -> Result<Option<Request<'a>>, Errno> {
        Ok(Some(match request {
            Request::Append { data, fua } => {
                // The front end's idea of the end may be old: the host may have changed it.
                let offset = self.live_size()?;
                Request::Write { offset, data, fua }
            }
            Request::SetSize { size } => {
                // It may come by a path, while the image is left to others.
                self.claim_image()?;
                let end = self.live_size()?;
                let (offset, len) = (size.min(end), size.abs_diff(end));
                match size.cmp(&end) {
                    Ordering::Less => Request::Erase { offset, len },
                    Ordering::Equal => return Ok(None),
                    Ordering::Greater => Request::Grow { offset, len },
                }
            }
            placed => placed,
        }))
    }

    /// The part of a request that the disk has space for. Of a write across the end of a fixed disk that
    /// is the part before the end; at the end and behind it there is ENOSPC.
    pub(super) fn bound<'a>(
        &self,
        request: Request<'a>,
        range: &mut IoRange,
    ) -> Result<Request<'a>, Errno> {
        if !self.asks_for_end(&request, *range) {
            return Ok(request);
        }
        let end = self.live_size()?;
        let room = end.saturating_sub(range.offset);
        if range.len <= room || range.len == 0 {
            return Ok(request);
        }
        match request {
            Request::Write { .. } if room > 0 => {
                range.len = room;
                Ok(request.cut(room))
            }
            _ => Err(FULL),
        }
    }

    /// Whether the host has to say where the disk ends: the request may reach past it.
    pub(super) fn asks_for_end(&self, request: &Request<'_>, range: IoRange) -> bool {
        self.fixed
            && request.may_grow()
            && range.offset.saturating_add(range.len) > self.known_size()
    }

    fn live_size(&self) -> Result<u64, Errno> {
        self.size().map_err(|error| Errno::of(&error))
    }
}
