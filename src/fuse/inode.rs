//! Inode numbers: every file of a mount has one that is computed, not stored.

use fuser::INodeNo;

use crate::protocol::{ControlFile, DiskFile, Reads};

/// A file or folder of the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inode {
    /// The top folder.
    Root,
    /// `ctl/`.
    Ctl,
    /// A file in `ctl/`.
    Control(ControlFile),
    /// The data of the disk at that index.
    Data(usize),
    /// `ctl/ID/` of the disk at that index.
    DiskFolder(usize),
    /// A file in it.
    Disk(usize, DiskFile),
}

/// Numbers of the mount itself, and of each disk: the first of block N + 1 is the data of disk N.
const BLOCK: u64 = 128;
/// The place in a block from which its control files are numbered.
const FILES: u64 = 64;

const ROOT: u64 = 1;
const CTL: u64 = 2;
/// Places in a disk's block.
const DATA: u64 = 0;
const FOLDER: u64 = 1;

/// A block has room for this many control files.
const ROOM: u64 = BLOCK - FILES;
const _: () = assert!(ControlFile::ALL.len() as u64 <= ROOM);
const _: () = assert!(DiskFile::ALL.len() as u64 <= ROOM);

impl Inode {
    /// Its number. A disk's index is never used again, so its numbers are not either.
    pub(super) fn number(self) -> INodeNo {
        INodeNo(match self {
            Self::Root => ROOT,
            Self::Ctl => CTL,
            Self::Control(file) => FILES + file as u64,
            Self::Data(disk) => first(disk) + DATA,
            Self::DiskFolder(disk) => first(disk) + FOLDER,
            Self::Disk(disk, file) => first(disk) + FILES + file as u64,
        })
    }

    /// The file or folder with the number `ino`.
    pub(super) fn of(ino: INodeNo) -> Option<Self> {
        let (block, place) = (ino.0 / BLOCK, ino.0 % BLOCK);
        let file = place.checked_sub(FILES).map(|file| file as usize);
        match (block.checked_sub(1), file) {
            (None, Some(file)) => Some(Self::Control(*ControlFile::ALL.get(file)?)),
            (None, None) => match place {
                ROOT => Some(Self::Root),
                CTL => Some(Self::Ctl),
                _ => None,
            },
            (Some(disk), Some(file)) => Some(Self::Disk(disk as usize, *DiskFile::ALL.get(file)?)),
            (Some(disk), None) => match place {
                DATA => Some(Self::Data(disk as usize)),
                FOLDER => Some(Self::DiskFolder(disk as usize)),
                _ => None,
            },
        }
    }

    /// The group whose members share the threads for control files fairly with the other groups: one for each
    /// disk, one for each file of the mount that may wait for storage, and one for the rest.
    pub(super) fn group(self) -> u64 {
        match self {
            Self::Data(disk) | Self::DiskFolder(disk) | Self::Disk(disk, _) => first(disk),
            Self::Control(ControlFile::Attach | ControlFile::Detach | ControlFile::Power) => {
                self.number().0
            }
            Self::Control(
                ControlFile::Version
                | ControlFile::Disks
                | ControlFile::Clear
                | ControlFile::Error
                | ControlFile::Mark
                | ControlFile::Events,
            )
            | Self::Root
            | Self::Ctl => ROOT,
        }
    }

    /// What a read finds, where that is not data: nothing in a folder.
    pub(super) fn reads(self) -> Reads {
        match self {
            Self::Control(file) => file.reads(),
            Self::Disk(_, file) => file.reads(),
            Self::Root | Self::Ctl | Self::DiskFolder(_) | Self::Data(_) => Reads::Nothing,
        }
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(self) -> bool {
        matches!(self, Self::Root | Self::Ctl | Self::DiskFolder(_))
    }
}

fn first(disk: usize) -> u64 {
    (disk as u64 + 1) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inode_numbers_are_distinct_and_lead_back_to_their_files() {
        let mut all = vec![Inode::Root, Inode::Ctl];
        all.extend(ControlFile::ALL.map(Inode::Control));
        for disk in [0, 1, 99] {
            all.extend([Inode::Data(disk), Inode::DiskFolder(disk)]);
            all.extend(DiskFile::ALL.map(|file| Inode::Disk(disk, file)));
        }
        let mut numbers: Vec<_> = all.iter().map(|inode| inode.number().0).collect();
        for inode in &all {
            assert_eq!(Inode::of(inode.number()), Some(*inode));
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all.len());
    }

    #[test]
    fn inode_blocks_have_room_for_64_control_files() {
        let file = |block: u64, file: u64| block * BLOCK + FILES + file;
        for block in [0, 1, 100] {
            let numbers = (0..64).map(|n| file(block, n));
            let next_block = (block + 1) * BLOCK;
            assert!(numbers.into_iter().all(|number| number < next_block));
        }
        let last = DiskFile::ALL.len() as u64;
        assert_eq!(
            Inode::of(INodeNo(file(1, last - 1))),
            Some(Inode::Disk(0, DiskFile::Checkpoint))
        );
        assert_eq!(Inode::of(INodeNo(file(1, last))), None);
        assert_eq!(Inode::of(INodeNo(0)), None);
        assert_eq!(Inode::of(INodeNo(u64::MAX)), None);
    }
}
