//! What a client asks of a disk, and how it is answered.

use std::borrow::Cow;

use crate::fault::Op;
use crate::protocol::Errno;

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
    pub(in crate::disk) fn cut(self, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match self {
            Self::Write { offset, data } if data.len() > most => {
                let data = match data {
                    Cow::Borrowed(data) => Cow::Borrowed(&data[..most]),
                    Cow::Owned(mut data) => {
                        data.truncate(most);
                        Cow::Owned(data)
                    }
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

    /// Whether the disk may be longer after it.
    pub(in crate::disk) fn may_grow(&self) -> bool {
        matches!(
            self,
            Self::Write { .. }
                | Self::Zero {
                    keep_size: false,
                    ..
                }
        )
    }

    /// The same with a copy of a write's data, to outlive the buffer it came in. ENOMEM without
    /// memory for it.
    pub fn into_owned(self) -> Result<Request<'static>, Errno> {
        Ok(match self {
            Self::Write { offset, data } => Request::Write {
                offset,
                data: Cow::Owned(owned(data)?),
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
        })
    }
}

/// The bytes of `data` as one's own. ENOMEM without memory for a copy.
pub(in crate::disk) fn owned(data: Cow<'_, [u8]>) -> Result<Vec<u8>, Errno> {
    let data = match data {
        Cow::Owned(data) => return Ok(data),
        Cow::Borrowed(data) => data,
    };
    let mut copy = Vec::new();
    copy.try_reserve_exact(data.len())
        .map_err(|_| Errno::ENOMEM)?;
    copy.extend_from_slice(data);
    Ok(copy)
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
