//! The chunks of inodes of xfs: each group has a B+ tree of them.
//! Source: fs/xfs/libxfs/xfs_format.h of Linux.

use super::error::LocateError;
use super::image::Numbers;
use super::ranges::Piece;
use super::xfs_superblock::Superblock;

/// The header of a group's inodes is in its third sector.
const HEADER_SECTOR: u64 = 2;
const HEADER_MAGIC: &[u8] = b"XAGI";
/// The two forms of a node of the tree, with the length of what is before its records.
const NODES: [(&[u8], usize); 2] = [(b"IABT", 16), (b"IAB3", 56)];
/// No further node.
const NONE: u64 = 0xffff_ffff;
/// A record of 64 inodes; each of 16 bits says that four of them are not there.
const RECORD: usize = 16;
const BITS: u64 = 16;
const INODES_OF_A_BIT: u64 = 4;

/// All inodes of a file system.
pub(super) fn chunks(xfs: &Superblock<'_>) -> Result<Vec<Piece>, LocateError> {
    let mut pieces = Vec::new();
    for number in 0..xfs.groups() {
        let group = xfs.group(number);
        let at = xfs.begin + group + HEADER_SECTOR * xfs.sector_size();
        let header = xfs.image.read(at, 32)?;
        if !header.starts_with(HEADER_MAGIC) {
            let why = format!("group {number} has no header of inodes");
            return Err(xfs.image.damaged("file system", why));
        }
        let mut node = Node::read(xfs, group, header.be32(20))?;
        while node.level > 0 {
            node = Node::read(xfs, group, node.first_child())?;
        }
        // Bounds a list that goes in a circle.
        for _ in 0..=u32::MAX {
            pieces.extend(node.inodes(xfs, group));
            match node.right() {
                NONE => break,
                right => node = Node::read(xfs, group, right)?,
            }
        }
    }
    Ok(pieces)
}

/// A node of the tree.
struct Node {
    bytes: Vec<u8>,
    /// 0 is a leaf.
    level: u64,
    /// Where its records begin.
    records: usize,
}

impl Node {
    fn read(xfs: &Superblock<'_>, group: u64, block: u64) -> Result<Self, LocateError> {
        let at = xfs.begin + group + block * xfs.block_size();
        let bytes = xfs.image.read(at, xfs.block_size() as usize)?;
        let form = NODES.iter().find(|(magic, _)| bytes.starts_with(magic));
        let (_, records) = form.ok_or_else(|| {
            let why = format!("block {block} of a group is none of the tree of inodes");
            xfs.image.damaged("file system", why)
        })?;
        let level = bytes.be16(4);
        Ok(Self {
            bytes,
            level,
            records: *records,
        })
    }

    fn right(&self) -> u64 {
        self.bytes.be32(12)
    }

    /// Keys come before the pointers, four bytes each, with room for as many as fit.
    fn first_child(&self) -> u64 {
        let most = (self.bytes.len() - self.records) / 8;
        self.bytes.be32(self.records + most * 4)
    }

    fn inodes(&self, xfs: &Superblock<'_>, group: u64) -> Vec<Piece> {
        let count = self.bytes.be16(6) as usize;
        let records = self.bytes[self.records..].chunks_exact(RECORD).take(count);
        let size = xfs.inode_size();
        let of_record = |record: &[u8]| {
            let (first, holes) = (record.be32(0), record.be16(4));
            let there = (0..BITS).filter(move |bit| holes & 1 << bit == 0);
            there.map(move |bit| Piece {
                start: group + (first + bit * INODES_OF_A_BIT) * size,
                len: INODES_OF_A_BIT * size,
            })
        };
        records.flat_map(of_record).collect()
    }
}
