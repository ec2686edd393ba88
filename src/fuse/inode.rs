//! Inode numbers: every file of a mount has one that is computed, not stored.

use fuser::INodeNo;

use crate::control::{ControlFile, DiskFile};

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

const ROOT: u64 = 1;
const CTL: u64 = 2;
const CONTROL_FILES: u64 = 3;
const DISKS: u64 = 64;
/// Inode numbers of one disk: its data, its folder, the files in it.
const PER_DISK: u64 = 16;
const DISK_FILES: u64 = 2;

impl Inode {
    /// Its number. A disk's index is never used again, so its numbers are not either.
    pub(super) fn number(self) -> INodeNo {
        INodeNo(match self {
            Self::Root => ROOT,
            Self::Ctl => CTL,
            Self::Control(file) => CONTROL_FILES + place(&ControlFile::ALL, file),
            Self::Data(disk) => first(disk),
            Self::DiskFolder(disk) => first(disk) + 1,
            Self::Disk(disk, file) => first(disk) + DISK_FILES + place(&DiskFile::ALL, file),
        })
    }

    /// What has the number `ino`.
    pub(super) fn of(ino: INodeNo) -> Option<Self> {
        match ino.0 {
            ROOT => Some(Self::Root),
            CTL => Some(Self::Ctl),
            n @ CONTROL_FILES..DISKS => {
                let file = ControlFile::ALL.get((n - CONTROL_FILES) as usize)?;
                Some(Self::Control(*file))
            }
            n @ DISKS.. => {
                let disk = ((n - DISKS) / PER_DISK) as usize;
                match (n - DISKS) % PER_DISK {
                    0 => Some(Self::Data(disk)),
                    1 => Some(Self::DiskFolder(disk)),
                    n => {
                        let file = DiskFile::ALL.get((n - DISK_FILES) as usize)?;
                        Some(Self::Disk(disk, *file))
                    }
                }
            }
            _ => None,
        }
    }

    /// Those whose work is done on a fair share of the threads for control files: what may wait for
    /// storage apart from the rest, and each disk for itself.
    pub(super) fn group(self) -> u64 {
        match self {
            Self::Data(disk) | Self::DiskFolder(disk) | Self::Disk(disk, _) => first(disk),
            Self::Control(ControlFile::Attach | ControlFile::Detach) => self.number().0,
            _ => ROOT,
        }
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(self) -> bool {
        matches!(self, Self::Root | Self::Ctl | Self::DiskFolder(_))
    }
}

fn first(disk: usize) -> u64 {
    DISKS + disk as u64 * PER_DISK
}

fn place<T: PartialEq>(all: &[T], one: T) -> u64 {
    all.iter().take_while(|other| **other != one).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_number_of_its_own_that_leads_back_to_it() {
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
}
