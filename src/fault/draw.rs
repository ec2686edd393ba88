//! Sectors drawn at random for a rule with `sectors=`: once, when it is armed.

use std::collections::{BTreeSet, HashSet};

use super::{Random, Ranges};
use crate::protocol::names::SECTOR;

/// The most sectors that a rule can draw.
pub const MOST_DRAWN: u64 = 1_000_000;
/// How far apart two neighbours of a group may be.
const NEAR: u64 = 100;
/// One of this many neighbours of a group is the very next sector.
const ADJACENT: u64 = 80;
/// Where the random numbers of the draw begin. Those of requests begin at 1.
const POSITION: u64 = 0;
/// How often another place is tried before one that is next to a drawn sector is taken.
const TRIES: usize = 16;

/// How many sectors a rule draws, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// How many, from 1 to [`MOST_DRAWN`].
    pub count: u64,
    /// In groups of this many, whose sectors are near each other; 2 or more.
    pub cluster: Option<u64>,
}

impl Draw {
    /// As many of the whole sectors of `ranges` as it draws with `seed`, or all of them if there are no more. A
    /// `cluster` needs four times as many to draw from; with fewer the sectors are drawn one by one.
    pub(super) fn from(self, ranges: &Ranges, seed: u64) -> Ranges {
        let places = Places::of(ranges);
        let count = self.count.min(places.count);
        let random = Random::at(seed, POSITION);
        match self.cluster {
            _ if count == places.count => ranges.clone(),
            Some(size) if count <= places.count / 4 => {
                ranges_of(Groups::of(places, random).draw(count, size))
            }
            _ => {
                let numbers = one_by_one(places.count, count, random);
                ranges_of(numbers.into_iter().map(|number| places.sector(number)))
            }
        }
    }
}

fn ranges_of(sectors: impl IntoIterator<Item = u64>) -> Ranges {
    let bytes = |sector| (sector * SECTOR, (sector + 1) * SECTOR);
    Ranges::of_bytes(sectors.into_iter().map(bytes).collect())
}

/// `count` different numbers below `end` (Floyd's algorithm): each set of them is as likely as any other.
fn one_by_one(end: u64, count: u64, mut random: Random) -> HashSet<u64> {
    let mut drawn = HashSet::with_capacity(count as usize);
    for last in end - count..end {
        let number = random.below(last + 1);
        if !drawn.insert(number) {
            drawn.insert(last);
        }
    }
    drawn
}

/// The sectors to draw from.
struct Places {
    /// Ranges of sectors, each with the number of its first one.
    ranges: Vec<(u64, u64, u64)>,
    /// How many sectors they have.
    count: u64,
}

impl Places {
    fn of(ranges: &Ranges) -> Self {
        let mut count = 0;
        let number = |(start, end): (u64, u64)| {
            let (start, end) = (start / SECTOR, end / SECTOR);
            let numbered = (start, end, count);
            count += end - start;
            numbered
        };
        let ranges = ranges.iter().map(number).collect();
        Self { ranges, count }
    }

    /// The sector with this number, from 0.
    fn sector(&self, number: u64) -> u64 {
        let place = self.ranges.partition_point(|(.., first)| *first <= number);
        let (start, _, first) = self.ranges[place - 1];
        start + (number - first)
    }

    fn has(&self, sector: u64) -> bool {
        let place = self.ranges.partition_point(|(start, ..)| *start <= sector);
        place > 0 && sector < self.ranges[place - 1].1
    }
}

/// Sectors that are drawn in groups.
struct Groups {
    places: Places,
    random: Random,
    drawn: BTreeSet<u64>,
}

impl Groups {
    fn of(places: Places, random: Random) -> Self {
        Self {
            places,
            random,
            drawn: BTreeSet::new(),
        }
    }

    fn draw(mut self, count: u64, size: u64) -> BTreeSet<u64> {
        let mut last = None;
        let mut in_group = 0;
        while (self.drawn.len() as u64) < count {
            let near = last.filter(|_| in_group < size);
            let near = near.and_then(|last| self.near(last));
            in_group = if near.is_some() { in_group + 1 } else { 1 };
            let sector = near.unwrap_or_else(|| self.anywhere());
            self.drawn.insert(sector);
            last = Some(sector);
        }
        self.drawn
    }

    /// The first sector of a group.
    fn anywhere(&mut self) -> u64 {
        let mut tries = 0;
        loop {
            let number = self.random.below(self.places.count);
            let sector = self.places.sector(number);
            tries += 1;
            // At most a quarter is drawn, so that it ends.
            if !self.drawn.contains(&sector) && (tries > TRIES || !self.touches(sector)) {
                return sector;
            }
        }
    }

    /// The next sector of a group, after `last`. None where none is free.
    fn near(&mut self, last: u64) -> Option<u64> {
        let is_adjacent = self.random.below(ADJACENT) == 0;
        if is_adjacent && self.is_free(last + 1) {
            return Some(last + 1);
        }
        let nearby = last.saturating_sub(NEAR + 1)..=last + NEAR + 1;
        let nearby: Vec<u64> = self.drawn.range(nearby).copied().collect();
        let touches = |sector: u64| nearby.iter().any(|drawn| drawn.abs_diff(sector) <= 1);
        let after = last + 2..last + NEAR + 1;
        let before = last.saturating_sub(NEAR)..last.saturating_sub(1);
        for side in [after, before] {
            let free = side.filter(|sector| !touches(*sector) && self.places.has(*sector));
            let free: Vec<u64> = free.collect();
            if !free.is_empty() {
                let chosen = self.random.below(free.len() as u64);
                return Some(free[chosen as usize]);
            }
        }
        None
    }

    fn is_free(&self, sector: u64) -> bool {
        self.places.has(sector) && !self.drawn.contains(&sector)
    }

    /// Whether a sector beside it is drawn.
    fn touches(&self, sector: u64) -> bool {
        let before = sector.checked_sub(1);
        before.is_some_and(|before| self.drawn.contains(&before))
            || self.drawn.contains(&(sector + 1))
    }
}
