//! The sectors that a rule with `per=sector` draws of a request: each with the same probability, independently of the
//! others.

use super::{Action, Decision, Phase, Random, Ranges};
use crate::protocol::names::SECTOR;
use crate::units::Probability;

/// The most sectors that are drawn of a request, unless that is all of them: they take 64 MiB of memory.
const MOST_SECTORS: usize = 1 << 22;

/// How many sectors of a request have to be drawn for `action`: one is enough where it acts on the request as a whole.
pub(super) fn most_sectors(action: &Action) -> usize {
    match action.phase() {
        Phase::Decide(Decision::Lose) | Phase::Change(_) => MOST_SECTORS,
        Phase::Decide(Decision::Error(_) | Decision::Tear(..) | Decision::Cut(_)) => 1,
        Phase::Wait(_) => 1,
    }
}

/// The bytes of the sectors that are drawn of `parts`, which are whole sectors: the first `most` of them at most. With
/// the probability 1 these are all of them, and no number is drawn.
pub(super) fn draw(parts: &Ranges, p: Probability, random: &mut Random, most: usize) -> Ranges {
    let p = p.get();
    if p >= 1.0 {
        return parts.clone();
    }
    let mut drawn = Vec::new();
    // How many sectors are passed over has a geometric distribution, of which one random number gives a value. So the
    // work is that of the drawn sectors, and not of all. Without a probability the quotient is infinite, or no number.
    let missed = (-p).ln_1p();
    let mut gap = || ((-random.unit()).ln_1p() / missed) as u64;
    let mut next = if p > 0.0 { gap() } else { u64::MAX };
    for (from, end) in parts.iter() {
        let mut at = from;
        while next < (end - at) / SECTOR {
            let sector = at + next * SECTOR;
            at = sector + SECTOR;
            drawn.push((sector, at));
            if drawn.len() == most {
                return Ranges::of_bytes(drawn);
            }
            next = gap();
        }
        next -= (end - at) / SECTOR;
    }
    Ranges::of_bytes(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Sectors;

    const TIB: u64 = 1 << 31;

    /// Those of the sectors that are drawn for the request with this number, of a disk of 1 TiB.
    fn drawn(at: &[(u64, u64)], p: f64, number: u64, most: usize) -> Vec<u64> {
        let parts = Ranges::of(at.iter().map(|&(start, count)| Sectors { start, count }));
        let p = Probability::new(p).unwrap();
        let drawn = draw(&parts, p, &mut Random::at(7, number), most);
        let sectors = drawn.sectors();
        sectors
            .flat_map(|it| it.start..it.start + it.count)
            .collect()
    }

    /// Whether of `all` about the share `p` was found: five standard deviations.
    fn is_share(found: usize, all: f64, p: f64) -> bool {
        (found as f64 - all * p).abs() <= 5.0 * (all * p * (1.0 - p)).sqrt()
    }

    #[test]
    fn each_sector_is_drawn_with_the_probability_whatever_was_drawn_before_it() {
        const REQUESTS: u64 = 20_000;
        for p in [0.001, 0.1, 0.5, 0.97] {
            let (mut each, mut after) = ([0; 20], 0);
            for number in 0..REQUESTS {
                let all = drawn(&[(0, 10), (40, 10)], p, number, MOST_SECTORS);
                let place = |sector: u64| if sector < 10 { sector } else { sector - 30 };
                let places: Vec<_> = all.iter().map(|sector| place(*sector)).collect();
                places.iter().for_each(|place| each[*place as usize] += 1);
                after += places.windows(2).filter(|it| it[1] == it[0] + 1).count();
            }
            let requests = REQUESTS as f64;
            assert!(
                each.iter().all(|found| is_share(*found, requests, p)),
                "{p}: {each:?}"
            );
            // Of those that are drawn, the next one is drawn as often as any.
            let drawn: usize = each[..19].iter().sum();
            assert!(is_share(after, drawn as f64, p), "{p}: {after} of {drawn}");
        }
    }

    #[test]
    fn all_are_drawn_with_the_probability_1_and_none_with_0() {
        let at = &[(3, 4), (100, 2)];
        assert_eq!(drawn(at, 1.0, 1, 1), [3, 4, 5, 6, 100, 101]);
        assert!(drawn(at, 0.0, 1, MOST_SECTORS).is_empty());
        let parts = Ranges::of([Sectors { start: 0, count: 9 }]);
        let (mut random, p) = (Random::at(1, 2), Probability::new(1.0).unwrap());
        draw(&parts, p, &mut random, 9);
        assert_eq!(
            random.draw(),
            Random::at(1, 2).draw(),
            "it has drawn no number"
        );
    }

    #[test]
    fn largest_requests_draw_as_many_numbers_as_sectors() {
        let number = 3;
        let few = drawn(&[(0, TIB)], 1e-6, number, MOST_SECTORS);
        assert!(is_share(few.len(), TIB as f64, 1e-6), "{}", few.len());
        assert_eq!(drawn(&[(0, TIB)], 1e-6, number, 10), few[..10]);
        assert_eq!(
            drawn(&[(0, TIB)], 0.5, number, MOST_SECTORS).len(),
            MOST_SECTORS
        );
        assert!(drawn(&[(0, TIB)], 1e-300, number, MOST_SECTORS).is_empty());
    }
}
