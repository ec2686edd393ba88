//! A copy of what xfs_db reads of an xfs that begins inside of an image: xfs_db reads none there. The copy is a file with
//! holes, in which the file system begins at its first byte.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::LocateError;
use super::image::{Image, Numbers};
use super::ranges::Piece;
use super::xfs_inodes;
use super::xfs_superblock::Superblock;

/// The sectors with the headers of a group.
const HEADERS: u64 = 4;
/// As much as is copied at once.
const AT_ONCE: u64 = 1 << 20;

/// The format of an inode whose extents are in a tree, in this byte of it.
const FORMAT_AT: usize = 5;
const TREE: u8 = 3;
/// The two forms of a block of that tree, with the length of what is before its records.
const NODES: [(&[u8], usize); 2] = [(b"BMAP", 24), (b"BMA3", 72)];
/// A key of the tree is as long as a pointer.
const KEY: usize = 8;

/// The copy: first of the headers of all groups, and of all inodes.
pub(super) struct Copy<'a> {
    xfs: &'a Superblock<'a>,
    image: Image,
}

impl<'a> Copy<'a> {
    pub(super) fn new(xfs: &'a Superblock<'a>) -> Result<Self, LocateError> {
        let path = xfs.image.path().to_owned();
        let failed = |cause| LocateError::Copy {
            image: path.clone(),
            cause,
        };
        let file = tempfile::tempfile().map_err(failed)?;
        file.set_len(xfs.group(xfs.groups())).map_err(failed)?;
        let copy = Self {
            xfs,
            image: Image::of(path, file),
        };
        for number in 0..xfs.groups() {
            copy.add(Piece {
                start: xfs.group(number),
                len: HEADERS * xfs.sector_size(),
            })?;
        }
        for chunk in xfs_inodes::chunks(xfs)? {
            copy.add(chunk)?;
        }
        Ok(copy)
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// Has a piece of the file system too.
    pub(super) fn add(&self, piece: Piece) -> Result<(), LocateError> {
        let end = piece.start + piece.len;
        let mut at = piece.start;
        while at < end {
            let len = AT_ONCE.min(end - at);
            let bytes = self.xfs.image.read(self.xfs.begin + at, len as usize)?;
            let written = self.file().write_all_at(&bytes, at);
            written.map_err(|cause| LocateError::Copy {
                image: self.xfs.image.path().to_owned(),
                cause,
            })?;
            at += len;
        }
        Ok(())
    }

    fn file(&self) -> &File {
        self.image.file()
    }

    /// Has the tree of the extents of an inode too, if it has one.
    pub(super) fn add_tree(&self, inode: u64) -> Result<(), LocateError> {
        let xfs = self.xfs;
        let Piece { start, len } = xfs.inode(inode);
        let bytes = xfs.image.read(xfs.begin + start, len as usize)?;
        if bytes[FORMAT_AT] != TREE {
            return Ok(());
        }
        // What is before the extents depends on the version; the attributes that follow begin after so many 8 bytes.
        let begin = if bytes[4] >= 3 { 176 } else { 100 };
        let end = match usize::from(bytes[82]) {
            0 => bytes.len(),
            eighths => (begin + eighths * 8).min(bytes.len()),
        };
        let (level, root) = (bytes[begin..end].be16(0), &bytes[begin + 4..end]);
        let count = bytes[begin..end].be16(2);
        self.add_blocks(level, pointers(root, count))
    }

    /// Has blocks of the tree below one of this level, and what is below them.
    fn add_blocks(&self, level: u64, blocks: Vec<u64>) -> Result<(), LocateError> {
        for block in blocks {
            let piece = self.xfs.blocks(block, 1);
            self.add(piece)?;
            let bytes = self
                .xfs
                .image
                .read(self.xfs.begin + piece.start, piece.len as usize)?;
            let form = NODES.iter().find(|(magic, _)| bytes.starts_with(magic));
            let (_, records) = form.ok_or_else(|| {
                let why = format!("block {block} is none of a tree of extents");
                self.xfs.image.damaged("file system", why)
            })?;
            // Levels fall: a tree that goes in a circle ends here.
            if level > 1 {
                self.add_blocks(level - 1, pointers(&bytes[*records..], bytes.be16(6)))?;
            }
        }
        Ok(())
    }
}

/// The `count` pointers in the records of a node: they come after room for as many keys as there may be pointers.
fn pointers(records: &[u8], count: u64) -> Vec<u64> {
    let most = records.len() / (2 * KEY);
    let numbers = (0..most.min(count as usize)).map(|n| records.be64((most + n) * KEY));
    numbers.collect()
}
