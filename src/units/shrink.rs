//! Making a counterexample small.

/// How often a choice is tried. Where each state fails in its own way, the tries would be in vain, and thousands.
const MOST_TRIES: usize = 1000;

/// The fewest of `all` that still fail: leaving out any one of them would not. None where it fails without any. `fails`
/// tries a choice of them, in their order. `all` itself is taken to fail. After [`MOST_TRIES`] it is not the fewest, but
/// what was found by then.
///
/// Where more never hurts, each piece that is needed is found by bisection: it is the last one of the shortest beginning
/// that fails. Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002) then makes sure
/// that nothing else can be left out.
pub fn shrink(all: &[usize], mut fails: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    if fails(&[]) {
        return Vec::new();
    }
    let mut left = MOST_TRIES;
    let mut fails = |choice: &[usize]| {
        let may_try = left > 0;
        left = left.saturating_sub(1);
        may_try && fails(choice)
    };
    let found = bisected(all, &mut fails);
    without_any_one(found, &mut fails)
}

/// What is needed, if more never hurts; in any case, a choice that fails.
fn bisected(all: &[usize], fails: &mut dyn FnMut(&[usize]) -> bool) -> Vec<usize> {
    let (mut needed, mut rest) = (Vec::new(), all);
    while !rest.is_empty() && (needed.is_empty() || !fails(&needed)) {
        // So many of the rest are too few, and so many fail.
        let (mut few, mut many) = (0, rest.len());
        while many - few > 1 {
            let middle = few.midpoint(many);
            match fails(&[&rest[..middle], &needed].concat()) {
                true => many = middle,
                false => few = middle,
            }
        }
        needed.insert(0, rest[many - 1]);
        rest = &rest[..many - 1];
    }
    needed
}

/// `left` without those that can be left out.
fn without_any_one(mut left: Vec<usize>, fails: &mut dyn FnMut(&[usize]) -> bool) -> Vec<usize> {
    let mut parts = 2;
    while left.len() > 1 {
        let size = left.len().div_ceil(parts);
        let without =
            |from: usize| [&left[..from], &left[(from + size).min(left.len())..]].concat();
        let mut smaller = (0..left.len()).step_by(size).map(without);
        match smaller.find(|choice| !choice.is_empty() && fails(choice)) {
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
            assert!(tries < 60, "{tries} tries for {needed:?}");
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
        assert_eq!(tries, MOST_TRIES + 1);
    }

    #[test]
    fn counterexample_where_more_may_hurt_is_small_too() {
        let all: Vec<_> = (0..100).collect();
        let fails = |choice: &[usize]| choice.contains(&40) && choice.len() % 3 != 1;
        let small = shrink(&all, fails);
        assert!(fails(&small), "{small:?}");
        let without = |at: usize| {
            small
                .iter()
                .copied()
                .filter(|piece| *piece != at)
                .collect::<Vec<_>>()
        };
        assert!(small.iter().all(|at| !fails(&without(*at))), "{small:?}");
    }

    #[test]
    fn failure_without_any_loss_loses_nothing() {
        assert!(shrink(&[4, 5, 6], |_| true).is_empty());
    }
}
