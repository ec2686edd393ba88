//! Requests that a front end hands to a disk, and their answers.

use std::borrow::Cow;
use std::hint::black_box;

use crate::disk::cache::entry::{Content, StoredChange};
use crate::fault::{IoRange, Op};
use crate::protocol::Errno;

/// Bytes of the longest request. The kernel splits what is longer; its own bound is 256 pages unless
/// set otherwise.
pub const LARGEST_REQUEST: u32 = 1 << 20;

/// The client of a request that comes from no open file, but by a path. Real clients count from 1.
pub const NOBODY: u64 = 0;

/// A request. Offsets, lengths and sizes are in bytes and need not be multiples of a sector.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `Image`'s methods.
pub enum Request<'a> {
    Read {
        offset: u64,
        len: u32,
    },
    Write {
        offset: u64,
        data: Cow<'a, [u8]>,
        fua: Option<Fua>,
    },
    /// A write where the disk ends when it is served. The disk serves it as `Write`.
    Append {
        data: Cow<'a, [u8]>,
        fua: Option<Fua>,
    },
    Flush {
        data_only: bool,
    },
    Discard {
        offset: u64,
        len: u64,
    },
    Zero {
        offset: u64,
        len: u64,
        keep_size: bool,
    },
    /// Reserves storage for a range, whose content stays.
    Allocate {
        offset: u64,
        len: u64,
        keep_size: bool,
    },
    /// Ends the disk at `size`, as far as a disk can. The disk serves it as `Erase` from there on where
    /// it is longer, since a disk does not shrink; as `Grow` where it is shorter; and has nothing to
    /// do where that is its size.
    SetSize {
        size: u64,
    },
    /// Zeroes that take no room.
    Erase {
        offset: u64,
        len: u64,
    },
    /// Makes the disk longer: `len` zeroes from `offset`, its end, on.
    Grow {
        offset: u64,
        len: u64,
    },
}

/// How much of a write is on stable storage before the write is answered (forced unit access).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fua {
    /// Its data, and what is needed to find them: O_DSYNC.
    Data,
    /// All metadata too: O_SYNC.
    All,
}

/// Where a request comes from, and what its front end says of it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// As `Disk::open` numbered it; [`NOBODY`] for none.
    pub client: u64,
    /// Only whole sectors are served, as past a page cache; EINVAL for anything else.
    pub is_aligned: bool,
    /// The calling thread may wait for storage, and so serve the request itself.
    pub may_wait: bool,
}

impl<'a> Request<'a> {
    /// A write without what it has beyond `most` bytes.
    pub(super) fn cut(self, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match self {
            Self::Write { offset, data, fua } if data.len() > most => {
                let data = match data {
                    Cow::Borrowed(data) => Cow::Borrowed(&data[..most]),
                    Cow::Owned(mut data) => {
                        data.truncate(most);
                        Cow::Owned(data)
                    }
                };
                Self::Write { offset, data, fua }
            }
            other => other,
        }
    }
}

impl Request<'_> {
    /// Its kind, for rules, counters and the trace.
    pub fn op(&self) -> Op {
        match self {
            Self::Read { .. } => Op::Read,
            Self::Write { .. } | Self::Append { .. } => Op::Write,
            Self::Flush { .. } => Op::Flush,
            Self::Discard { .. } => Op::Discard,
            Self::Zero { .. }
            | Self::Allocate { .. }
            | Self::SetSize { .. }
            | Self::Erase { .. }
            | Self::Grow { .. } => Op::Zero,
        }
    }

    /// Its range on a disk that ends at `end`; an empty one for a flush.
    pub(super) fn range(&self, end: u64) -> IoRange {
        let (offset, len) = match *self {
            Self::Read { offset, len } => (offset, u64::from(len)),
            Self::Write {
                offset, ref data, ..
            } => (offset, data.len() as u64),
            Self::Append { ref data, .. } => (end, data.len() as u64),
            Self::Flush { .. } => (0, 0),
            Self::SetSize { size } => (size.min(end), size.abs_diff(end)),
            Self::Discard { offset, len }
            | Self::Zero { offset, len, .. }
            | Self::Allocate { offset, len, .. }
            | Self::Erase { offset, len }
            | Self::Grow { offset, len } => (offset, len),
        };
        let op = self.op();
        IoRange { op, offset, len }
    }

    /// Whether its place is relative to the disk's end, for which the host has to be asked.
    pub(super) fn is_relative(&self) -> bool {
        matches!(self, Self::Append { .. } | Self::SetSize { .. })
    }

    /// Whether it may change the image.
    pub(super) fn changes(&self) -> bool {
        match self.op() {
            Op::Read | Op::Flush => false,
            Op::Write | Op::Discard | Op::Zero => true,
        }
    }

    /// Whether it has no parts that rules could lose or misdirect: what it adds to the disk reads as zeros anyhow.
    pub(super) fn is_indivisible(&self) -> bool {
        matches!(self, Self::Grow { .. } | Self::Allocate { .. })
    }

    /// Whether the disk may be longer after it.
    pub(super) fn may_grow(&self) -> bool {
        match self {
            Self::Zero { keep_size, .. } | Self::Allocate { keep_size, .. } => !keep_size,
            Self::Write { .. } | Self::Append { .. } | Self::SetSize { .. } | Self::Grow { .. } => {
                true
            }
            Self::Read { .. } | Self::Flush { .. } | Self::Discard { .. } | Self::Erase { .. } => {
                false
            }
        }
    }

    /// What of its range has other content after it, on a disk of `size` bytes.
    pub(super) fn changed(&self, size: u64) -> (u64, u64) {
        let IoRange { offset, len, .. } = self.range(size);
        let end = offset.saturating_add(len);
        match self {
            Self::Read { .. } | Self::Flush { .. } => (offset, 0),
            // What is new reads as zeros; what was there stays.
            Self::Allocate { .. } if !self.may_grow() => (offset, 0),
            Self::Allocate { .. } => (offset.max(size), end.saturating_sub(offset.max(size))),
            _ if self.may_grow() => (offset, len),
            _ => (offset, len.min(size.saturating_sub(offset))),
        }
    }

    /// How much of it is on stable storage before it is answered.
    pub(super) fn fua(&self) -> Option<Fua> {
        match self {
            Self::Write { fua, .. } | Self::Append { fua, .. } => *fua,
            Self::Read { .. }
            | Self::Flush { .. }
            | Self::Discard { .. }
            | Self::Zero { .. }
            | Self::Allocate { .. }
            | Self::SetSize { .. }
            | Self::Erase { .. }
            | Self::Grow { .. } => None,
        }
    }

    /// How many bytes of data it brings along.
    pub(super) fn data_len(&self) -> u64 {
        match self.op() {
            Op::Write => self.range(0).len,
            Op::Read | Op::Flush | Op::Discard | Op::Zero => 0,
        }
    }

    /// The same with a copy of a write's data, to outlive the buffer it came in. ENOMEM without
    /// memory for it.
    pub fn into_owned(self) -> Result<Request<'static>, Errno> {
        Ok(match self {
            Self::Write { offset, data, fua } => {
                let data = Cow::Owned(owned(data)?);
                Request::Write { offset, data, fua }
            }
            Self::Append { data, fua } => {
                let data = Cow::Owned(owned(data)?);
                Request::Append { data, fua }
            }
            Self::Read { offset, len } => Request::Read { offset, len },
            Self::Flush { data_only } => Request::Flush { data_only },
            Self::Discard { offset, len } => Request::Discard { offset, len },
            Self::Zero {
                offset,
                len,
                keep_size,
            } => Request::Zero {
                offset,
                len,
                keep_size,
            },
            Self::Allocate {
                offset,
                len,
                keep_size,
            } => Request::Allocate {
                offset,
                len,
                keep_size,
            },
            Self::SetSize { size } => Request::SetSize { size },
            Self::Erase { offset, len } => Request::Erase { offset, len },
            Self::Grow { offset, len } => Request::Grow { offset, len },
        })
    }
}

impl Request<'_> {
    /// The change of an image that it asks for; None if it asks for none, or for one without a place. ENOMEM
    /// without memory for its data.
    pub(in crate::disk) fn into_change(self) -> Result<Option<StoredChange>, Errno> {
        let range = self.range(0);
        let content = match self {
            Self::Write { data, .. } => Content::Data(owned(data)?),
            Self::Zero { keep_size, .. } => Content::Zeroes { keep_size },
            Self::Discard { .. } | Self::Erase { .. } => Content::Discarded,
            Self::Grow { .. } => Content::Grown,
            Self::Read { .. }
            | Self::Append { .. }
            | Self::Flush { .. }
            | Self::Allocate { .. }
            | Self::SetSize { .. } => return Ok(None),
        };
        Ok(Some(StoredChange { range, content }))
    }
}

/// What a copy leaves for all else that a waiting request needs. Without memory for that, the server would abort.
const SPARE: usize = 256 << 10;

/// The bytes of `data` in memory of their own. ENOMEM without memory for a copy.
pub(super) fn owned(data: Cow<'_, [u8]>) -> Result<Vec<u8>, Errno> {
    let data = match data {
        Cow::Owned(data) => return Ok(data),
        Cow::Borrowed(data) => data,
    };
    let mut copy = room_for(data.len())?;
    black_box(room_for(SPARE)?);
    copy.extend_from_slice(data);
    Ok(copy)
}

fn room_for(bytes: usize) -> Result<Vec<u8>, Errno> {
    let mut room = Vec::new();
    let reserved = room.try_reserve_exact(bytes);
    reserved.map(|()| room).map_err(|_| Errno::ENOMEM)
}

/// How a request ended well.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// What a read found; shorter than asked for only at the end of the image.
    Data(&'a [u8]),
    /// Any other request was done in full. The number of bytes is smaller than asked for only of a write
    /// across the end of a fixed disk.
    Done(u64),
}

/// The way back to the client. An implementation answers EIO when it is dropped unsent, so that no
/// client waits for ever.
pub trait Reply: Send + 'static {
    /// Answers, once.
    fn send(self, result: Result<Answer<'_>, Errno>);
}
