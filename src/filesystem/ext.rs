//! ext2, ext3 and ext4: dumpe2fs says where superblocks and inodes lie, debugfs where files do.

use super::error::LocateError;
use super::image::{Image, Numbers};
use super::part::Part;
use super::ranges::Piece;
use super::tool::{Tool, input_from};

/// Where the superblock lies, and how long it is. In a copy it is the first of a block.
/// Source: Documentation/filesystems/ext4/super.rst of Linux.
const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_LEN: usize = 1024;
const MAGIC: u64 = 0xef53;
/// Features that ext3 does not have: extents, 64 bits, groups of groups.
const OF_EXT4: u64 = 0x40 | 0x80 | 0x200;
const HAS_JOURNAL: u64 = 0x4;

const DUMPE2FS: Tool = Tool {
    program: "dumpe2fs",
    package: "e2fsprogs",
};
const DEBUGFS: Tool = Tool {
    program: "debugfs",
    package: "e2fsprogs",
};

/// A file system in an image.
pub(super) struct Ext<'a> {
    image: &'a Image,
    begin: u64,
    superblock: Vec<u8>,
}

impl<'a> Ext<'a> {
    /// The one that begins at byte `begin`, if there is one.
    pub(super) fn in_image(image: &'a Image, begin: u64) -> Result<Option<Self>, LocateError> {
        let superblock = image.read(begin.saturating_add(SUPERBLOCK_AT), SUPERBLOCK_LEN)?;
        let is_ext = superblock.le16(0x38) == MAGIC && superblock.le32(0x18) <= 6;
        Ok(is_ext.then_some(Self {
            image,
            begin,
            superblock,
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        match (self.superblock.le32(0x60) & OF_EXT4, self.has_journal()) {
            (0, false) => "ext2",
            (0, true) => "ext3",
            _ => "ext4",
        }
    }

    fn has_journal(&self) -> bool {
        self.superblock.le32(0x5c) & HAS_JOURNAL != 0
    }

    fn block_size(&self) -> u64 {
        1024 << self.superblock.le32(0x18)
    }

    /// Where `part` lies.
    pub(super) fn find(&self, part: &Part) -> Result<Vec<Piece>, LocateError> {
        match part {
            Part::Superblock => self.superblocks(),
            Part::Inodes => self.inode_tables(),
            Part::Journal => self.journal(),
            Part::File(path) => self.content(part, &quoted(path)),
        }
    }

    fn superblocks(&self) -> Result<Vec<Piece>, LocateError> {
        let list = self.dump()?;
        let copies = list.lines().filter_map(|line| {
            let (kind, rest) = line.trim().split_once(" superblock at ")?;
            let block: u64 = number_at_start(rest)?;
            let start = match kind {
                "Primary" => SUPERBLOCK_AT,
                "Backup" => block * self.block_size(),
                _ => return None,
            };
            Some(Piece {
                start,
                len: SUPERBLOCK_LEN as u64,
            })
        });
        Ok(copies.collect())
    }

    fn inode_tables(&self) -> Result<Vec<Piece>, LocateError> {
        let list = self.dump()?;
        let tables = list.lines().filter_map(|line| {
            let range = line.trim().strip_prefix("Inode table at ")?;
            self.blocks(range.split_whitespace().next()?.trim_end_matches(','))
        });
        Ok(tables.collect())
    }

    fn dump(&self) -> Result<String, LocateError> {
        let (list, said) = DUMPE2FS.run(self.image, &[&input_from(self.begin)])?;
        match list.contains(" superblock at ") {
            true => Ok(list),
            false => Err(DUMPE2FS.failed(self.image, &said)),
        }
    }

    fn journal(&self) -> Result<Vec<Piece>, LocateError> {
        let without = |why| LocateError::NoJournal {
            image: self.image.path().to_owned(),
            why,
        };
        let inode = self.superblock.le32(0xe0);
        match (self.has_journal(), inode) {
            (false, _) => Err(without("it is without one")),
            (true, 0) => Err(without("it is on another device")),
            (true, inode) => self.content(&Part::Journal, &format!("<{inode}>")),
        }
    }

    /// The content of the file that debugfs knows as `name`.
    fn content(&self, part: &Part, name: &str) -> Result<Vec<Piece>, LocateError> {
        let command = format!("stat {name}");
        let words = ["-R", &command, &input_from(self.begin)];
        let (stat, said) = DEBUGFS.run(self.image, &words)?;
        if !stat.starts_with("Inode:") {
            return Err(DEBUGFS.failed(self.image, &said));
        }
        if stat
            .lines()
            .next()
            .is_some_and(|line| line.contains("Type: symlink"))
        {
            return Err(LocateError::Link { part: part.clone() });
        }
        Ok(extents(&stat)
            .filter_map(|range| self.blocks(range))
            .collect())
    }

    /// `FIRST-LAST` or `BLOCK`.
    fn blocks(&self, range: &str) -> Option<Piece> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        Some(Piece {
            start: first * self.block_size(),
            len: (last.checked_sub(first)? + 1) * self.block_size(),
        })
    }
}

/// A path as a word of debugfs.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

fn number_at_start(text: &str) -> Option<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The ranges of blocks with content in what debugfs prints of an inode: `(0-11):24-35`. Blocks of the map itself
/// have names in place of numbers: `(IND):36`, `(ETB0):40`. `[u]` marks what is allocated and not written.
fn extents(stat: &str) -> impl Iterator<Item = &str> {
    let list = stat
        .lines()
        .skip_while(|line| !matches!(*line, "BLOCKS:" | "EXTENTS:"));
    let ranges = list.skip(1).flat_map(|line| line.split(", "));
    ranges.filter_map(|range| {
        let (logical, blocks) = range.strip_prefix('(')?.split_once("):")?;
        logical
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(blocks)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_those_of_the_content() {
        let old = "Inode: 12\nBLOCKS:\n(0-11):24-35, (IND):36, (12):37, (DIND):40\nTOTAL: 4\n";
        assert_eq!(extents(old).collect::<Vec<_>>(), ["24-35", "37"]);
        let new = "Inode: 8\nEXTENTS:\n(ETB0):9, (0-3):16-19, (4-7[u]):30-33\n";
        assert_eq!(extents(new).collect::<Vec<_>>(), ["16-19", "30-33"]);
        assert_eq!(extents("Inode: 8\nSize of inline data: 60\n").count(), 0);
    }
}
