//! Which subsets of what is pending are tried.

use std::ops::ControlFlow;
use std::str::FromStr;

use super::subset::Subset;
use crate::fault::Random;

/// Most pieces of which all subsets are tried.
pub(super) const MOST_FOR_EVERY: usize = 24;

/// A way to choose subsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Nothing survives.
    None,
    /// All survive.
    All,
    /// The first N survive, for each N.
    Prefix,
    /// All but this number of pieces survive.
    Drop(usize),
    /// This number of pieces survives.
    Keep(usize),
    /// All subsets, at points with at most this number of pending pieces.
    Every(usize),
    /// This number of subsets, by chance.
    Random(u32),
}

/// Text that is not a way to choose subsets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not say which states to pick: expected none, all, prefix, drop=K, keep=K, every=N (up to {MOST_FOR_EVERY}) or random=M"
)]
pub struct BadPick(String);

impl Pick {
    /// What is picked unless a user says otherwise.
    pub const DEFAULT: &str = "none,all,prefix,drop=1,keep=1,every=8,random=32";

    /// Reads a list of them, separated by commas.
    pub fn list(text: &str) -> Result<Vec<Self>, BadPick> {
        text.split(',').map(str::parse).collect()
    }

    /// Calls `each` with every subset of `len` pieces that it picks. `seed` decides chance.
    pub fn for_each(
        self,
        len: usize,
        seed: u64,
        each: &mut dyn FnMut(&Subset) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Self::None => each(&Subset::none(len)),
            Self::All => each(&Subset::all(len)),
            Self::Prefix => (0..=len).try_for_each(|n| each(&Subset::first(n, len))),
            Self::Drop(n) => flipped(&mut Subset::all(len), n, 0, each),
            Self::Keep(n) => flipped(&mut Subset::none(len), n, 0, each),
            Self::Every(most) if len <= most => {
                (0..1 << len).try_for_each(|bits| each(&Subset::of_bits(bits, len)))
            }
            Self::Every(_) => ControlFlow::Continue(()),
            Self::Random(times) => (0..times).try_for_each(|n| each(&by_chance(len, seed, n))),
        }
    }
}

/// `subset` with each choice of `n` numbers from `from` on changed.
fn flipped(
    subset: &mut Subset,
    n: usize,
    from: usize,
    each: &mut dyn FnMut(&Subset) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if n == 0 {
        return each(subset);
    }
    for number in from..subset.len() {
        let was_in = subset.has(number);
        subset.set(number, !was_in);
        flipped(subset, n - 1, number + 1, each)?;
        subset.set(number, was_in);
    }
    ControlFlow::Continue(())
}

fn by_chance(len: usize, seed: u64, n: u32) -> Subset {
    let mut random = Random::at(seed, u64::from(n));
    let mut subset = Subset::none(len);
    for start in (0..len).step_by(64) {
        let bits = random.draw();
        for number in start..len.min(start + 64) {
            subset.set(number, bits >> (number - start) & 1 == 1);
        }
    }
    subset
}

impl FromStr for Pick {
    type Err = BadPick;

    fn from_str(text: &str) -> Result<Self, BadPick> {
        let bad = || BadPick(text.to_owned());
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name, Some(number.parse::<u32>().map_err(|_| bad())?)),
            None => (text, None),
        };
        match (name, number) {
            ("none", None) => Ok(Self::None),
            ("all", None) => Ok(Self::All),
            ("prefix", None) => Ok(Self::Prefix),
            ("drop", Some(n)) => Ok(Self::Drop(n as usize)),
            ("keep", Some(n)) => Ok(Self::Keep(n as usize)),
            ("every", Some(n)) if n as usize <= MOST_FOR_EVERY => Ok(Self::Every(n as usize)),
            ("random", Some(times)) => Ok(Self::Random(times)),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str, len: usize) -> Vec<String> {
        let mut all = Vec::new();
        for pick in Pick::list(text).unwrap() {
            let _ = pick.for_each(len, 7, &mut |subset| {
                all.push(subset.to_string());
                ControlFlow::Continue(())
            });
        }
        all
    }

    #[test]
    fn pick_names_exactly_its_subsets() {
        assert_eq!(picked("none,all", 4), ["0", "f"]);
        assert_eq!(picked("prefix", 3), ["0", "1", "3", "7"]);
        assert_eq!(picked("drop=1", 3), ["6", "5", "3"]);
        assert_eq!(picked("keep=2", 3), ["3", "5", "6"]);
        assert_eq!(picked("every=2", 2), ["0", "1", "2", "3"]);
        assert!(picked("every=2,drop=4,keep=4", 3).is_empty());
    }

    #[test]
    fn chance_is_decided_by_the_seed() {
        assert_eq!(picked("random=5", 100), picked("random=5", 100));
        assert_eq!(picked("random=5", 100).len(), 5);
    }

    #[test]
    fn text_that_picks_nothing_known_is_refused_by_name() {
        for bad in [
            "",
            "none=1",
            "drop",
            "drop=x",
            "every=25",
            "some",
            "none,,all",
        ] {
            let error = Pick::list(bad).unwrap_err().to_string();
            assert!(
                error.contains("does not say which states to pick"),
                "{error}"
            );
        }
        assert!(Pick::list(Pick::DEFAULT).is_ok());
    }
}
