//! Old contents of a disk, by their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::path::reservation::Reservation;
use crate::protocol::Errno;

/// What an extent takes beside its data, about.
const ENTRY: u64 = 64;

/// Bytes of a disk as they were; zeros where there is no data.
#[derive(Clone)]
pub(super) struct Extent {
    pub(super) len: u64,
    pub(super) data: Option<Arc<Vec<u8>>>,
}

/// Extents that do not overlap, by where they begin.
pub(super) struct Kept {
    extents: BTreeMap<u64, Extent>,
    reservation: Reservation,
    /// For what copies have too.
    shared: Vec<Arc<Reservation>>,
}

impl Kept {
    pub(super) fn new(reservation: Reservation) -> Self {
        Self {
            extents: BTreeMap::new(),
            reservation,
            shared: Vec::new(),
        }
    }

    /// A copy, which shares the data and the room for them. `room` is a reservation of nothing.
    pub(super) fn copy(&mut self, [room, rooms]: [Reservation; 2]) -> Self {
        if self.reservation.bytes() > 0 {
            let own = std::mem::replace(&mut self.reservation, room);
            self.shared.push(Arc::new(own));
        }
        Self {
            extents: self.extents.clone(),
            reservation: rooms,
            shared: self.shared.clone(),
        }
    }

    /// The extents that have bytes from `start` up to `end`, first to last.
    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Extent)> {
        let before = self.extents.range(..start).next_back();
        let before = before.filter(|(at, extent)| *at + extent.len > start);
        let rest = self.extents.range(start..end);
        before
            .into_iter()
            .chain(rest)
            .map(|(at, extent)| (*at, extent))
    }

    /// The parts from `start` up to `end` that are not kept.
    pub(super) fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut at) = (Vec::new(), start);
        for (first, extent) in self.overlapping(start, end) {
            if at < first {
                gaps.push((at, first));
            }
            at = first + extent.len;
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }

    /// Keeps an extent where nothing is kept yet: the first to keep it is right.
    pub(super) fn add(&mut self, start: u64, extent: Extent) -> Result<(), Errno> {
        let gaps = self.gaps(start, start + extent.len);
        if gaps == [(start, start + extent.len)] {
            return self.insert(start, extent);
        }
        for (from, to) in gaps {
            let part = |data: &Arc<Vec<u8>>| {
                Arc::new(data[(from - start) as usize..(to - start) as usize].to_vec())
            };
            let data = extent.data.as_ref().map(part);
            self.insert(
                from,
                Extent {
                    len: to - from,
                    data,
                },
            )?;
        }
        Ok(())
    }

    fn insert(&mut self, start: u64, extent: Extent) -> Result<(), Errno> {
        let before = self.extents.range_mut(..start).next_back();
        match before {
            // A long hole is one extent, however it came about.
            Some((at, before))
                if before.data.is_none() && extent.data.is_none() && at + before.len == start =>
            {
                before.len += extent.len;
            }
            _ => {
                self.reservation.grow(ENTRY)?;
                self.extents.insert(start, extent);
            }
        }
        Ok(())
    }

    /// Takes over the room for the data that were added.
    pub(super) fn absorb(&mut self, reservation: Reservation) {
        self.reservation.absorb(reservation);
    }

    /// Puts the contents that are kept from `start` on into `target`.
    pub(super) fn overlay(&self, target: &mut [u8], start: u64) {
        let end = start + target.len() as u64;
        for (at, extent) in self.overlapping(start, end) {
            let (from, to) = (at.max(start), (at + extent.len).min(end));
            let target = &mut target[(from - start) as usize..(to - start) as usize];
            match &extent.data {
                Some(data) => target.copy_from_slice(&data[(from - at) as usize..][..target.len()]),
                None => target.fill(0),
            }
        }
    }
}
