//! The superblock of xfs.

use super::error::LocateError;
use super::image::{Image, Numbers};
use super::ranges::Piece;

const MAGIC: &[u8] = b"XFSB";

/// The superblock of a file system in an image. Its numbers are big-endian.
/// Source: fs/xfs/libxfs/xfs_format.h of Linux.
pub(super) struct Superblock<'a> {
    pub(super) image: &'a Image,
    pub(super) begin: u64,
    bytes: Vec<u8>,
}

impl<'a> Superblock<'a> {
    /// The one that begins at byte `begin`, if there is one.
    pub(super) fn read(image: &'a Image, begin: u64) -> Result<Option<Self>, LocateError> {
        let bytes = image.read(begin, 512)?;
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let xfs = Self {
            image,
            begin,
            bytes,
        };
        let is_power = |size: u64, least: u64| size.is_power_of_two() && size >= least;
        let is_sound = is_power(xfs.block_size(), 512)
            && is_power(xfs.sector_size(), 512)
            && is_power(xfs.inode_size(), 256)
            && xfs.block_size() <= 65536
            && xfs.group_bits() <= 32;
        match is_sound {
            true => Ok(Some(xfs)),
            false => Err(image.damaged("superblock", "its sizes are none")),
        }
    }

    pub(super) fn block_size(&self) -> u64 {
        self.bytes.be32(4)
    }

    pub(super) fn sector_size(&self) -> u64 {
        self.bytes.be16(102)
    }

    pub(super) fn inode_size(&self) -> u64 {
        self.bytes.be16(104)
    }

    /// How many bits of the number of a block are its number in its group.
    fn group_bits(&self) -> u64 {
        self.bytes[124].into()
    }

    pub(super) fn groups(&self) -> u64 {
        self.bytes.be32(88)
    }

    /// Where group `number` begins.
    pub(super) fn group(&self, number: u64) -> u64 {
        number * self.bytes.be32(84) * self.block_size()
    }

    /// The pieces of `count` blocks from block `number` on, which has its group in the upper bits.
    pub(super) fn blocks(&self, number: u64, count: u64) -> Piece {
        let (group, block) = (
            number >> self.group_bits(),
            number & ((1 << self.group_bits()) - 1),
        );
        Piece {
            start: self.group(group) + block * self.block_size(),
            len: count * self.block_size(),
        }
    }

    /// Where an inode lies: the upper bits of its number are that of its block.
    pub(super) fn inode(&self, number: u64) -> Piece {
        let bits = self.bytes[123] & 0xf;
        let in_block = number & ((1 << bits) - 1);
        Piece {
            start: self.blocks(number >> bits, 1).start + in_block * self.inode_size(),
            len: self.inode_size(),
        }
    }

    /// The number of the first block of the log; 0 if it is elsewhere.
    pub(super) fn log_start(&self) -> u64 {
        self.bytes.be64(48)
    }

    /// How many blocks the log has.
    pub(super) fn log_blocks(&self) -> u64 {
        self.bytes.be32(96)
    }
}
