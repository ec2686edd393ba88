//! xfs: its superblock says where superblocks and log lie, xfs_db where files do.

use super::error::LocateError;
use super::image::Image;
use super::part::Part;
use super::ranges::Piece;
use super::tool::{INPUT, Tool};
use super::xfs_copy::Copy;
use super::xfs_inodes;
use super::xfs_superblock::Superblock;

const XFS_DB: Tool = Tool {
    program: "xfs_db",
    package: "xfsprogs",
};

/// The command that lists the extents of an inode.
const EXTENTS: [&str; 1] = ["bmap -d"];

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
        if self.0.begin == 0 {
            return Ok(self.look(self.0.image, part, path, &EXTENTS)?.extents);
        }
        // xfs_db reads nothing that begins inside of an image: it gets a copy, with the folders on the way.
        let copy = Copy::new(&self.0)?;
        for folder in folders(path) {
            for piece in self.look_in_copy(&copy, part, folder)? {
                copy.add(piece)?;
            }
        }
        self.look_in_copy(&copy, part, path)
    }

    /// The extents of what is at `path`. xfs_db never ends where a part of their tree is missing: the copy gets it first.
    fn look_in_copy(
        &self,
        copy: &Copy,
        part: &Part,
        path: &str,
    ) -> Result<Vec<Piece>, LocateError> {
        copy.add_tree(self.look(copy.image(), part, path, &[])?.inode)?;
        Ok(self.look(copy.image(), part, path, &EXTENTS)?.extents)
    }

    /// What xfs_db says of `path` in `image`, with further commands of it.
    fn look(
        &self,
        image: &Image,
        part: &Part,
        path: &str,
        more: &[&str],
    ) -> Result<Looked, LocateError> {
        let path = format!("path {path}");
        let mut words = vec![
            "-r",
            "-f",
            "-c",
            &path,
            "-c",
            "inode",
            "-c",
            "print core.mode",
        ];
        words.extend(more.iter().flat_map(|command| ["-c", command]));
        words.push(INPUT);
        let (list, said) = XFS_DB.run(image, &words)?;
        let after = |name: &str| list.lines().find_map(|line| line.strip_prefix(name));
        let inode = after("current inode number is ").and_then(|number| number.parse().ok());
        let (Some(inode), Some(mode)) = (inode, after("core.mode = ")) else {
            // It says on its standard output that there is no such file.
            let said = match said.trim().is_empty() {
                true => list.lines().next().unwrap_or_default(),
                false => &said,
            };
            return Err(XFS_DB.failed(self.0.image, said));
        };
        // The type is in the first digits of an octal number.
        if mode.starts_with("012") {
            return Err(LocateError::Link { part: part.clone() });
        }
        let extents = list.lines().filter_map(|line| self.extent(line)).collect();
        Ok(Looked { inode, extents })
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

/// What xfs_db says of a file or a folder.
struct Looked {
    inode: u64,
    extents: Vec<Piece>,
}

/// The folders on the way to `path`, the root first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    let trimmed = path.trim_end_matches('/');
    let ends = trimmed.match_indices('/').map(|(at, _)| at.max(1));
    ends.map(|end| &trimmed[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_on_the_way_to_a_file() {
        let of = |path| folders(path).collect::<Vec<_>>();
        assert_eq!(of("/file"), ["/"]);
        assert_eq!(of("/a/b/file"), ["/", "/a", "/a/b"]);
        assert_eq!(of("/a/"), ["/"]);
        assert_eq!(of("/"), [""; 0]);
    }
}
