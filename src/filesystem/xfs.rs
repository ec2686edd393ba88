//! xfs: its superblock says where superblocks and log lie, xfs_db where files do.

use super::error::LocateError;
use super::image::Image;
use super::part::Part;
use super::ranges::Piece;
use super::tool::{INPUT, Tool};
use super::xfs_inodes;
use super::xfs_superblock::Superblock;

const XFS_DB: Tool = Tool {
    program: "xfs_db",
    package: "xfsprogs",
};

/// A file system in an image.
pub(super) struct Xfs<'a>(Superblock<'a>);

impl<'a> Xfs<'a> {
    /// The one that begins at byte `begin`, if there is one.
    pub(super) fn in_image(image: &'a Image, begin: u64) -> Result<Option<Self>, LocateError> {
        Ok(Superblock::read(image, begin)?.map(Self))
    }

    /// Where `part` lies.
    pub(super) fn find(&self, part: &Part) -> Result<Vec<Piece>, LocateError> {
        match part {
            Part::Superblock => Ok(self.superblocks()),
            Part::Journal => self.log(),
            Part::Inodes => xfs_inodes::chunks(&self.0),
            Part::File(path) => self.content(part, path),
        }
    }

    fn superblocks(&self) -> Vec<Piece> {
        let of_group = |number| Piece {
            start: self.0.group(number),
            len: self.0.sector_size(),
        };
        (0..self.0.groups()).map(of_group).collect()
    }

    fn log(&self) -> Result<Vec<Piece>, LocateError> {
        match self.0.log_start() {
            0 => Err(LocateError::NoJournal {
                image: self.0.image.path().to_owned(),
                why: "its log is on another device",
            }),
            start => Ok(vec![self.0.blocks(start, self.0.log_blocks())]),
        }
    }

    fn content(&self, part: &Part, path: &str) -> Result<Vec<Piece>, LocateError> {
        if path.contains(char::is_whitespace) {
            return Err(LocateError::Blank { part: part.clone() });
        }
        if self.0.begin != 0 {
            return Err(LocateError::XfsInside {
                image: self.0.image.path().to_owned(),
                begin: self.0.begin,
            });
        }
        let path = format!("path {path}");
        let words = [
            "-r",
            "-f",
            "-c",
            &path,
            "-c",
            "print core.mode",
            "-c",
            "bmap -d",
            INPUT,
        ];
        let (list, said) = XFS_DB.run(self.0.image, &words)?;
        let Some(mode) = list
            .lines()
            .find_map(|line| line.strip_prefix("core.mode = "))
        else {
            return Err(XFS_DB.failed(self.0.image, &said));
        };
        // The type is in the first digits of an octal number.
        if mode.starts_with("012") {
            return Err(LocateError::Link { part: part.clone() });
        }
        Ok(list.lines().filter_map(|line| self.extent(line)).collect())
    }

    /// `data offset 0 startblock 24 (0/24) count 733 flag 0`.
    fn extent(&self, line: &str) -> Option<Piece> {
        let words: Vec<_> = line.strip_prefix("data offset ")?.split(' ').collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        Some(self.0.blocks(after("startblock")?, after("count")?))
    }
}
