//! Where a client finds data, and where holes. Sectors of an armed rule for reads count as data even where
//! the image has a hole: a copy that leaves holes out would never meet the rule.

use std::io;

use super::device::Disk;
use crate::fault::{FaultSet, Op};
use crate::storage::{Extent, Image};

impl Disk {
    /// Where the next extent of that kind starts, at `offset` or after it; ENXIO past the end.
    pub fn seek(&self, extent: Extent, offset: u64) -> io::Result<u64> {
        let concerned = concerned(&self.faults());
        if concerned.is_empty() {
            return self.image.seek(extent, offset);
        }
        match extent {
            Extent::Data => self.seek_data(offset, &concerned),
            Extent::Hole => self.seek_hole(offset, &concerned),
        }
    }

    fn seek_data(&self, offset: u64, concerned: &[(u64, u64)]) -> io::Result<u64> {
        let size = self.size()?;
        let armed = concerned.iter().find(|(_, end)| *end > offset);
        let armed = armed.map(|(start, _)| offset.max(*start));
        let armed = armed.filter(|start| *start < size);
        match (self.image.seek(Extent::Data, offset), armed) {
            (Ok(stored), Some(armed)) => Ok(stored.min(armed)),
            (Err(error), Some(armed)) if is_past_the_end(&error) => Ok(armed),
            (stored, _) => stored,
        }
    }

    fn seek_hole(&self, offset: u64, concerned: &[(u64, u64)]) -> io::Result<u64> {
        let size = self.size()?;
        let mut at = self.image.seek(Extent::Hole, offset)?;
        for (start, end) in concerned {
            if at < *start {
                break;
            }
            if at < *end {
                if *end >= size {
                    return Ok(size);
                }
                at = self.image.seek(Extent::Hole, *end)?;
            }
        }
        Ok(at)
    }
}

fn is_past_the_end(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

/// The bytes that rules for reads concern, by place: each range with the first byte behind it.
fn concerned(faults: &FaultSet) -> Vec<(u64, u64)> {
    let armed = faults.armed().iter();
    let for_reads = armed.filter(|armed| armed.rule.ops.contains(Op::Read));
    let ranges = for_reads.flat_map(|armed| armed.ranges.iter());
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    ranges
}
