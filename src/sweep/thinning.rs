//! Which of the requests have a turn: all, or fewer.

use crate::fault::Random;

/// What leaves turns out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thinning {
    /// The first of every so many requests; None for each.
    pub every: Option<u64>,
    /// At most this many of these, the first ones.
    pub max: Option<u64>,
    /// Of what is left this many, at random.
    pub sample: Option<u64>,
    /// Decides which.
    pub seed: u64,
    /// This one alone, whatever else is said.
    pub only: Option<u64>,
}

impl Thinning {
    /// What is wrong with it, whatever the number of requests; `name` makes the name of an option of a key.
    pub fn check(&self, name: impl Fn(&str) -> String) -> Result<(), String> {
        let zero = [
            ("every", self.every),
            ("max", self.max),
            ("sample", self.sample),
            ("only", self.only),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, value)| *value == Some(0)) {
            let name = name(key);
            return Err(format!("{name} is 0, and has to be at least 1"));
        }
        let others = [
            ("every", self.every),
            ("max", self.max),
            ("sample", self.sample),
        ];
        let other = others.into_iter().find(|(_, value)| value.is_some());
        match (self.only, other) {
            (Some(_), Some((key, _))) => {
                let (only, other) = (name("only"), name(key));
                Err(format!("{only} is one run: {other} cannot thin it out"))
            }
            _ => Ok(()),
        }
    }

    /// The turns of `requests` requests, from 1, in order.
    pub fn turns(&self, requests: u64) -> Result<Vec<u64>, String> {
        if let Some(only) = self.only {
            return match only <= requests {
                true => Ok(vec![only]),
                false => Err(format!(
                    "request {only} does not exist: the run without a fault made {requests} of them"
                )),
            };
        }
        let every = self.every.unwrap_or(1).max(1);
        let all = requests.div_ceil(every);
        let all = all.min(self.max.unwrap_or(all));
        let places = match self.sample {
            Some(sample) if sample < all => sampled(all, sample, self.seed),
            _ => (0..all).collect(),
        };
        Ok(places.into_iter().map(|place| 1 + place * every).collect())
    }
}

/// `sample` different numbers below `all`, in order (Floyd's algorithm).
fn sampled(all: u64, sample: u64, seed: u64) -> Vec<u64> {
    let mut chosen = std::collections::BTreeSet::new();
    for end in all - sample..all {
        let drawn = Random::at(seed, end).below(end + 1);
        if !chosen.insert(drawn) {
            chosen.insert(end);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(requests: u64, thinning: Thinning) -> Vec<u64> {
        thinning.turns(requests).unwrap()
    }

    #[test]
    fn every_request_has_a_turn_unless_they_are_thinned_out() {
        let all = Thinning::default();
        assert_eq!(turns(4, all.clone()), [1, 2, 3, 4]);
        let every = Thinning {
            every: Some(3),
            ..all
        };
        assert_eq!(turns(7, every.clone()), [1, 4, 7]);
        assert_eq!(turns(1, every.clone()), [1]);
        let max = Thinning {
            max: Some(2),
            ..every
        };
        assert_eq!(turns(100, max), [1, 4]);
    }

    #[test]
    fn sample_is_that_of_its_seed_without_a_turn_twice() {
        let sample = |seed| {
            let sample = Some(10);
            turns(
                100,
                Thinning {
                    sample,
                    seed,
                    ..Thinning::default()
                },
            )
        };
        assert_eq!(sample(7), sample(7));
        assert_ne!(sample(7), sample(8));
        assert_eq!(sample(7).len(), 10);
        assert!(sample(7).is_sorted_by(|a, b| a < b));
        assert!(sample(7).iter().all(|turn| (1..=100).contains(turn)));
        let few = Thinning {
            sample: Some(10),
            ..Thinning::default()
        };
        assert_eq!(turns(3, few), [1, 2, 3]);
    }

    #[test]
    fn single_turn_is_one_of_those_that_exist() {
        let only = |k| Thinning {
            only: Some(k),
            ..Thinning::default()
        };
        assert_eq!(turns(5, only(5)), [5]);
        let said = only(6).turns(5).unwrap_err();
        assert_eq!(
            said,
            "request 6 does not exist: the run without a fault made 5 of them"
        );
        let name = |key: &str| format!("--{key}");
        let said = only(0).check(name).unwrap_err();
        assert_eq!(said, "--only is 0, and has to be at least 1");
        let both = Thinning {
            max: Some(1),
            ..only(1)
        };
        let said = both.check(name).unwrap_err();
        assert_eq!(said, "--only is one run: --max cannot thin it out");
    }
}
