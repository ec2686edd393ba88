//! Ranges of sectors as a rule says them: counted from the start of the disk, or from its end.

use std::fmt;

use crate::protocol::names::SECTOR;

/// A range of sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sectors {
    /// The first.
    pub start: u64,
    /// How many.
    pub count: u64,
}

impl Sectors {
    /// The bytes of the range: the first, and the first after it.
    pub fn bytes(self) -> (u64, u64) {
        let start = self.start.saturating_mul(SECTOR);
        (
            start,
            start.saturating_add(self.count.saturating_mul(SECTOR)),
        )
    }
}

/// A range of sectors of any disk: which they are depends on the disk's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// The first.
    pub start: Start,
    /// How many.
    pub count: u64,
}

/// The first sector of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// The sector with this number.
    Sector(u64),
    /// The one that is this many sectors before the end of the disk; with 0, the first that the disk does not have.
    BeforeEnd(u64),
}

impl At {
    /// The sectors on a disk of `disk_sectors` whole sectors, without those that would be before its first one; None if
    /// none is left.
    pub fn on(self, disk_sectors: u64) -> Option<Sectors> {
        let (start, missing) = match self.start {
            Start::Sector(start) => (start, 0),
            Start::BeforeEnd(before) => (
                disk_sectors.saturating_sub(before),
                before.saturating_sub(disk_sectors),
            ),
        };
        let count = self.count.saturating_sub(missing);
        (count > 0).then_some(Sectors { start, count })
    }

    /// The sectors, if they are the same on every disk.
    pub fn fixed(self) -> Option<Sectors> {
        match self.start {
            Start::Sector(_) => self.on(0),
            Start::BeforeEnd(_) => None,
        }
    }

    /// Whether it would begin before the first sector of a disk of `disk_sectors` whole sectors.
    pub fn starts_before(self, disk_sectors: u64) -> bool {
        matches!(self.start, Start::BeforeEnd(before) if before > disk_sectors)
    }
}

impl From<Sectors> for At {
    fn from(Sectors { start, count }: Sectors) -> Self {
        Self {
            start: Start::Sector(start),
            count,
        }
    }
}

/// Prints as `START+COUNT`.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        match self.start {
            Start::Sector(start) => write!(f, "{start}+{count}"),
            Start::BeforeEnd(0) => write!(f, "end+{count}"),
            Start::BeforeEnd(before) => write!(f, "end-{before}+{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_from_the_end_leaves_out_what_is_before_the_first_sector() {
        for (before, count, disk, expected) in [
            (8, 8, 100, Some((92, 8))),
            (0, 8, 100, Some((100, 8))),
            (8, 16, 100, Some((92, 16))),
            (8, 8, 8, Some((0, 8))),
            (8, 8, 5, Some((0, 5))),
            (8, 3, 5, None),
            (8, 8, 0, None),
        ] {
            let at = At {
                start: Start::BeforeEnd(before),
                count,
            };
            let found = at.on(disk).map(|at| (at.start, at.count));
            assert_eq!(found, expected, "{at} on {disk}");
        }
        let fixed = Sectors { start: 7, count: 2 };
        assert_eq!(At::from(fixed).on(0), Some(fixed));
    }
}
