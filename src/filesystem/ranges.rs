//! Pieces of bytes of a file system, as sectors of a disk.

use crate::fault::Sectors;
use crate::protocol::names::SECTOR;

/// A piece of a file system, in bytes from its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// The sectors that `pieces` touch, `first` sectors further: in ascending order, and with gaps between.
pub(super) fn merged(mut pieces: Vec<Piece>, first: u64) -> Vec<Sectors> {
    pieces.retain(|piece| piece.len > 0);
    pieces.sort_by_key(|piece| piece.start);
    let mut all: Vec<Sectors> = Vec::new();
    for Piece { start, len } in pieces {
        let end = first + start.saturating_add(len).div_ceil(SECTOR);
        let start = first + start / SECTOR;
        match all.last_mut() {
            Some(last) if start <= last.start + last.count => {
                last.count = last.count.max(end - last.start);
            }
            _ => all.push(Sectors {
                start,
                count: end - start,
            }),
        }
    }
    all
}

/// `sectors` as `at=` takes them: `START+COUNT,...`.
pub fn show(sectors: &[Sectors]) -> String {
    let ranges = sectors
        .iter()
        .map(|Sectors { start, count }| format!("{start}+{count}"));
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_merged_into_the_sectors_that_they_touch() {
        let piece = |start, len| Piece { start, len };
        let pieces = vec![
            piece(4096, 512),
            piece(1024, 1024),
            piece(2048, 1),
            piece(9, 0),
        ];
        assert_eq!(show(&merged(pieces, 100)), "102+3,108+1");
        let same = vec![piece(0, 4096), piece(512, 512)];
        assert_eq!(show(&merged(same, 0)), "0+8");
    }
}
