//! What survives a power cut: decided from the seed alone, the same for the same candidates.

use std::ops::Range;

use crate::fault::Random;
use crate::protocol::{Keep, PowerCut};

/// Decides about one candidate after the other, oldest first.
pub(super) struct Survivors<'a> {
    cut: &'a PowerCut,
    seed: u64,
    pieces: u64,
}

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// It is lost, and its sectors have these random bytes.
    Garbage(u64),
}

impl<'a> Survivors<'a> {
    /// Of a cut of the disk `id`, which draws its random numbers from `seed`.
    pub(super) fn new(cut: &'a PowerCut, seed: u64, id: &str) -> Self {
        Self {
            cut,
            // Disks of one cut do not lose the same.
            seed: seed ^ crate::units::fnv(id.as_bytes()),
            pieces: 0,
        }
    }

    /// The fate of each of `pieces` of the next candidate, which still matter. Its number is None if it was not answered.
    pub(super) fn next(
        &mut self,
        number: Option<u64>,
        pieces: &[Range<u64>],
    ) -> Vec<(Range<u64>, Fate)> {
        let is_named = match &self.cut.keep {
            Keep::None | Keep::First(_) | Keep::Random(_) => false,
            Keep::All => true,
            Keep::Only(numbers) => number.is_some_and(|number| numbers.contains(&number)),
        };
        let fates = pieces.iter().map(|piece| {
            self.pieces += 1;
            (piece.clone(), self.fate(is_named))
        });
        fates.collect()
    }

    fn fate(&self, is_named: bool) -> Fate {
        let mut random = Random::at(self.seed, self.pieces);
        let (chance, garbage) = (random.unit(), random.unit());
        let is_kept = match &self.cut.keep {
            Keep::Random(p) => chance < p.get(),
            Keep::First(most) => self.pieces <= *most,
            Keep::None | Keep::All | Keep::Only(_) => is_named,
        };
        let is_garbage = self.cut.garbage.is_some_and(|p| garbage < p.get());
        match (is_kept, is_garbage) {
            (true, _) => Fate::Kept,
            (false, false) => Fate::Lost,
            (false, true) => Fate::Garbage(random.draw()),
        }
    }
}

/// The random bytes of a piece with garbage.
pub(super) fn garbage(seed: u64, len: u64) -> Vec<u8> {
    let mut random = Random::at(seed, 0);
    let words = len.div_ceil(8);
    let bytes = (0..words).flat_map(|_| random.draw().to_le_bytes());
    bytes.take(len as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(cut: &str, seed: u64) -> Vec<Fate> {
        let command = format!("cut {cut}").parse();
        let Ok(crate::protocol::PowerCommand::Cut(cut)) = command else {
            panic!("{command:?}");
        };
        let mut survivors = Survivors::new(&cut, seed, "vda");
        let numbers = [Some(3), Some(5), Some(9), None];
        let all = numbers.map(|number| survivors.next(number, &[0..512, 512..1024]));
        all.into_iter().flatten().map(|(_, fate)| fate).collect()
    }

    #[test]
    fn survivors_are_those_that_the_cut_names() {
        use Fate::{Kept, Lost};
        assert_eq!(fates("keep=none", 1), [Lost; 8]);
        assert_eq!(fates("keep=all", 1), [Kept; 8]);
        assert_eq!(
            fates("keep=first=1", 1),
            [Kept, Lost, Lost, Lost, Lost, Lost, Lost, Lost]
        );
        assert_eq!(
            fates("keep=only=5", 1),
            [Lost, Lost, Kept, Kept, Lost, Lost, Lost, Lost]
        );
        assert_eq!(fates("keep=random p=0", 1), [Lost; 8]);
        assert_eq!(fates("keep=random p=1", 1), [Kept; 8]);
    }

    #[test]
    fn survivors_by_chance_are_the_same_for_the_same_seed() {
        let all: Vec<_> = (0..50).map(|seed| fates("keep=random", seed)).collect();
        let again: Vec<_> = (0..50).map(|seed| fates("keep=random", seed)).collect();
        assert_eq!(all, again);
        let kept = all
            .iter()
            .flatten()
            .filter(|fate| **fate == Fate::Kept)
            .count();
        assert!((120..280).contains(&kept), "{kept} of 400 with p=0.5");
        assert!(
            fates("keep=none garbage=1", 1)
                .iter()
                .all(|fate| matches!(fate, Fate::Garbage(_)))
        );
    }
}
