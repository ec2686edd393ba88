//! The bytes of a write log: version 1 of dm-log-writes, as drivers/md/dm-log-writes.c has it.
//!
//! A superblock takes the first sector. Then comes each entry: a sector of its own, and after it
//! the data that were written. All numbers are little-endian; sectors are those of the superblock.

use std::fmt;
use std::ops::BitOr;

/// Bytes of an entry, and of the superblock, that have a meaning. The rest of the sector is zero.
pub(super) const ENTRY_BYTES: usize = 512;

/// A range ends here at the latest. Units are of up to 64 KiB, and others count in bytes.
pub(super) const MOST_SECTORS: u64 = u64::MAX >> 17;

/// Bytes of the longest mark.
pub const LONGEST_MARK: usize = 479;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// Where the text of a mark begins.
const MARK_AT: usize = 32;
/// Where the order of a request stands; readers that do not know it see zeros after the header.
const ORDER_AT: usize = 64;
/// What says that the order is there.
const ORDER_MAGIC: u64 = u64::from_le_bytes(*b"provium1");

/// Why bytes are not a superblock or an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Another kind of file.
    #[error("it does not begin as a write log does (magic {0:#x})")]
    Magic(u64),
    /// A later format.
    #[error("its version is {0}; only version 1 can be read")]
    Version(u64),
    /// A unit that no writer uses.
    #[error("its sector size is {0}; a power of two from 512 to 65536 is expected")]
    SectorSize(u32),
    /// Bits that have no meaning.
    #[error("its flags are {0:#x}; only bits 0 to 4 have a meaning")]
    Flags(u64),
    /// Neither data nor a flush, a discard or a mark.
    #[error("it is empty: no flag is set, and it has no sectors")]
    Empty,
    /// A mark is only a mark, and has a text.
    #[error("it is a malformed mark: it needs flags 8, no sectors and a text of 1 to 479 bytes")]
    Mark,
    /// The range ends past the last sector that a number can name.
    #[error("its range, {1} sectors from {0}, ends past the last possible sector")]
    Range(u64, u64),
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    /// A write without more.
    pub const NONE: Self = Self(0);
    /// A flush comes before the entry's data.
    pub const FLUSH: Self = Self(1);
    /// The data are durable once the write is answered.
    pub const FUA: Self = Self(2);
    /// The range was given back. No data follow.
    pub const DISCARD: Self = Self(4);
    /// A text of the user's.
    pub const MARK: Self = Self(8);
    /// The file system wrote metadata.
    pub const METADATA: Self = Self(16);

    const KNOWN: u64 = 31;

    /// Whether all flags of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::LowerHex for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// The first sector of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How many entries the log has.
    pub entries: u64,
    /// The unit of all sectors in the log, in bytes.
    pub sector_size: u32,
}

impl Superblock {
    /// Its bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, VERSION);
        put(&mut bytes, 16, self.entries);
        put(&mut bytes, 24, u64::from(self.sector_size));
        bytes
    }

    /// Reads one.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Result<Self, FormatError> {
        let magic = get(bytes, 0);
        if magic != MAGIC {
            return Err(FormatError::Magic(magic));
        }
        let version = get(bytes, 8);
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let sector_size = get(bytes, 24) as u32;
        if !sector_size.is_power_of_two() || !(512..=65536).contains(&sector_size) {
            return Err(FormatError::SectorSize(sector_size));
        }
        Ok(Self {
            entries: get(bytes, 16),
            sector_size,
        })
    }
}

/// When a request arrived and was answered, as numbers that grow: what a flush covers was answered
/// before it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// At its arrival.
    pub arrival: u64,
    /// At its answer.
    pub answer: u64,
}

/// One entry, without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A write, a discard or a flush.
    Request {
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// What it is.
        flags: Flags,
        /// Known of logs that provium wrote.
        order: Option<Order>,
    },
    /// A text of the user's.
    Mark(Vec<u8>),
}

impl Entry {
    /// Its bytes. A mark that is too long is cut.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        match self {
            Self::Request {
                sector,
                sectors,
                flags,
                order,
            } => {
                put(&mut bytes, 0, *sector);
                put(&mut bytes, 8, *sectors);
                put(&mut bytes, 16, flags.0);
                if let Some(order) = order {
                    put(&mut bytes, ORDER_AT, ORDER_MAGIC);
                    put(&mut bytes, ORDER_AT + 8, order.arrival);
                    put(&mut bytes, ORDER_AT + 16, order.answer);
                }
            }
            Self::Mark(text) => {
                let text = &text[..text.len().min(LONGEST_MARK)];
                put(&mut bytes, 16, Flags::MARK.0);
                put(&mut bytes, 24, text.len() as u64);
                bytes[MARK_AT..MARK_AT + text.len()].copy_from_slice(text);
            }
        }
        bytes
    }

    /// Reads one.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Result<Self, FormatError> {
        let (sector, sectors, flags) = (get(bytes, 0), get(bytes, 8), get(bytes, 16));
        let text_len = get(bytes, 24);
        if flags & !Flags::KNOWN != 0 {
            return Err(FormatError::Flags(flags));
        }
        let flags = Flags(flags);
        if flags.has(Flags::MARK) {
            let is_whole = flags == Flags::MARK && sectors == 0;
            if !is_whole || !(1..=LONGEST_MARK as u64).contains(&text_len) {
                return Err(FormatError::Mark);
            }
            return Ok(Self::Mark(bytes[MARK_AT..][..text_len as usize].to_vec()));
        }
        if sectors == 0 && flags == Flags::NONE {
            return Err(FormatError::Empty);
        }
        if sector.saturating_add(sectors) > MOST_SECTORS {
            return Err(FormatError::Range(sector, sectors));
        }
        let order = (get(bytes, ORDER_AT) == ORDER_MAGIC).then(|| Order {
            arrival: get(bytes, ORDER_AT + 8),
            answer: get(bytes, ORDER_AT + 16),
        });
        Ok(Self::Request {
            sector,
            sectors,
            flags,
            order,
        })
    }
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn get(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_and_superblock_read_back_as_they_were_written() {
        let superblock = Superblock {
            entries: 7,
            sector_size: 512,
        };
        assert_eq!(Superblock::decode(&superblock.encode()), Ok(superblock));
        let order = Some(Order {
            arrival: 3,
            answer: 9,
        });
        for entry in [
            Entry::Request {
                sector: 8,
                sectors: 16,
                flags: Flags::FUA | Flags::FLUSH,
                order,
            },
            Entry::Request {
                sector: 0,
                sectors: 0,
                flags: Flags::FLUSH,
                order: None,
            },
            Entry::Mark(b"mkfs".to_vec()),
            Entry::Mark(vec![b'x'; LONGEST_MARK]),
        ] {
            assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn superblock_has_its_numbers_where_the_kernel_puts_them() {
        let bytes = Superblock {
            entries: 2,
            sector_size: 512,
        }
        .encode();
        assert_eq!(&bytes[..8], b"rhswfsj\0");
        assert_eq!(
            (bytes[8], bytes[16], &bytes[24..28]),
            (1, 2, &[0, 2, 0, 0][..])
        );
        assert!(bytes[28..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn malformed_entry_is_refused_with_its_reason() {
        let entry = |sector: u64, sectors: u64, flags: u64, len: u64| {
            let mut bytes = [0; ENTRY_BYTES];
            put(&mut bytes, 0, sector);
            put(&mut bytes, 8, sectors);
            put(&mut bytes, 16, flags);
            put(&mut bytes, 24, len);
            Entry::decode(&bytes)
        };
        assert_eq!(entry(0, 0, 0, 0), Err(FormatError::Empty));
        assert_eq!(entry(0, 1, 32, 0), Err(FormatError::Flags(32)));
        assert_eq!(entry(0, 1, 8, 4), Err(FormatError::Mark));
        assert_eq!(entry(0, 0, 8, 0), Err(FormatError::Mark));
        assert_eq!(entry(0, 0, 8, 480), Err(FormatError::Mark));
        assert_eq!(entry(0, 0, 9, 4), Err(FormatError::Mark));
        assert_eq!(
            entry(u64::MAX, 2, 0, 0),
            Err(FormatError::Range(u64::MAX, 2))
        );
    }
}
