//! Making a counterexample small.

/// How often a choice is tried. Where each state fails in its own way, the tries would be in vain, and thousands.
const MOST_TRIES: usize = 1000;

/// The fewest of `lost` that still fail: leaving out any one of them would not. None where it fails
/// without a loss. `fails` tries a choice of them. `lost` itself is taken to fail. After [`MOST_TRIES`] it is not
/// the fewest, but what was found by then.
///
/// This is delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002).
pub(super) fn shrink(lost: &[usize], mut fails: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    if fails(&[]) {
        return Vec::new();
    }
    let mut left = lost.to_vec();
    let (mut parts, mut tries) = (2, 0);
    while left.len() > 1 && tries < MOST_TRIES {
        let size = left.len().div_ceil(parts);
        let without = |from: usize| {
            let outside = |at: usize| !(from..from + size).contains(&at);
            let kept = left.iter().enumerate().filter(|(at, _)| outside(*at));
            kept.map(|(_, piece)| *piece).collect::<Vec<_>>()
        };
        let starts = (0..left.len()).step_by(size);
        let smaller = starts
            .map(without)
            .take_while(|_| {
                tries += 1;
                tries <= MOST_TRIES
            })
            .find(|choice| !choice.is_empty() && fails(choice));
        match smaller {
            Some(smaller) => {
                left = smaller;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(left.len()),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counterexample_has_what_it_needs_and_nothing_else() {
        let all: Vec<_> = (0..500).collect();
        for needed in [vec![7], vec![3, 499], vec![0, 250, 251, 400]] {
            let mut tries = 0;
            let small = shrink(&all, |choice| {
                tries += 1;
                needed.iter().all(|piece| choice.contains(piece))
            });
            assert_eq!(small, needed);
            assert!(tries < 200, "{tries} tries for {needed:?}");
        }
    }

    #[test]
    fn counterexample_that_cannot_be_made_smaller_stays() {
        assert_eq!(shrink(&[4, 5], |choice| choice == [4, 5]), [4, 5]);
        assert_eq!(shrink(&[4], |choice| choice == [4]), [4]);
    }

    #[test]
    fn counterexample_that_cannot_be_made_smaller_is_given_up() {
        let all: Vec<_> = (0..5000).collect();
        let mut tries = 0;
        let small = shrink(&all, |choice| {
            tries += 1;
            choice.len() == all.len()
        });
        assert_eq!(small, all);
        assert!(tries <= MOST_TRIES + 1, "{tries}");
    }

    #[test]
    fn failure_without_any_loss_loses_nothing() {
        assert!(shrink(&[4, 5, 6], |_| true).is_empty());
    }
}
