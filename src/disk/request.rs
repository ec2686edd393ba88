//! What a client asks of a disk, and how it is answered.

use std::borrow::Cow;

use crate::fault::{Errno, Op};

/// A request. Offsets and lengths are in bytes and need not be multiples of a sector.
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
    /// Zeroes that take no room, of a client that cuts the file: a disk does not shrink.
    Erase {
        offset: u64,
        len: u64,
    },
}

impl<'a> Request<'a> {
    /// A write without what it has beyond `most` bytes.
    pub(super) fn cut(self, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match self {
            Self::Write { offset, data } if data.len() > most => {
                let data = match data {
                    Cow::Borrowed(data) => Cow::Borrowed(&data[..most]),
                    Cow::Owned(data) => Cow::Owned(data[..most].to_vec()),
                };
                Self::Write { offset, data }
            }
            other => other,
        }
    }
}

#[allow(clippy::len_without_is_empty)] // The length of its range; a flush has none.
impl Request<'_> {
    /// Its kind.
    pub fn op(&self) -> Op {
        match self {
            Self::Read { .. } => Op::Read,
            Self::Write { .. } => Op::Write,
            Self::Flush { .. } => Op::Flush,
            Self::Discard { .. } => Op::Discard,
            Self::Zero { .. } | Self::Erase { .. } => Op::Zero,
        }
    }

    /// Where its range starts; 0 for a flush.
    pub fn offset(&self) -> u64 {
        match *self {
            Self::Read { offset, .. }
            | Self::Write { offset, .. }
            | Self::Discard { offset, .. }
            | Self::Zero { offset, .. }
            | Self::Erase { offset, .. } => offset,
            Self::Flush { .. } => 0,
        }
    }

    /// How long its range is; 0 for a flush.
    pub fn len(&self) -> u64 {
        match self {
            Self::Read { len, .. } => u64::from(*len),
            Self::Write { data, .. } => data.len() as u64,
            Self::Discard { len, .. } | Self::Zero { len, .. } | Self::Erase { len, .. } => *len,
            Self::Flush { .. } => 0,
        }
    }

    /// The same with a copy of a write's data, to outlive the buffer it came in.
    pub fn into_owned(self) -> Request<'static> {
        match self {
            Self::Write { offset, data } => Request::Write {
                offset,
                data: Cow::Owned(data.into_owned()),
            },
            Self::Read { offset, len } => Request::Read { offset, len },
            Self::Flush { data_only } => Request::Flush { data_only },
            Self::Discard { offset, len } => Request::Discard { offset, len },
            Self::Erase { offset, len } => Request::Erase { offset, len },
            Self::Zero {
                offset,
                len,
                keep_size,
            } => Request::Zero {
                offset,
                len,
                keep_size,
            },
        }
    }
}

/// How a request ended well.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// What a read found; shorter than asked for only at the end of the image.
    Data(&'a [u8]),
    /// Anything else was done in full: so many bytes, which of a write across the end of a fixed disk
    /// are fewer than asked for.
    Done(u64),
}

/// The way back to the client. Dropping it unsent must answer EIO, so that nobody waits for ever.
pub trait Reply: Send + 'static {
    /// Answers, once.
    fn send(self, result: Result<Answer<'_>, Errno>);
}
