//! What a walk has found: bad states that failed alike, and the smallest loss that fails so.

use std::io;
use std::ops::ControlFlow;

use super::judge::{Judge, Judged};
use super::shrink::shrink;
use super::space::Piece;
use super::subset::Subset;
use super::verdict::{Failure, Verdict};
use super::walk::{StateId, Walk};
use super::{Deltas, History};

/// Bad states that failed alike.
#[derive(Debug)]
pub struct Group {
    /// How they failed.
    pub failure: Failure,
    /// How many they are.
    pub states: u64,
    /// The one that loses least.
    pub example: StateId,
    /// What is lost in it.
    pub lost: Vec<Piece>,
}

/// All groups, in the order in which their first states were found.
#[derive(Debug, Default)]
pub struct Summary {
    /// States that are good.
    pub good: u64,
    /// States that nobody was asked about.
    pub unchecked: u64,
    /// The bad ones.
    pub groups: Vec<Group>,
}

impl Summary {
    /// Counts a state.
    pub fn note(&mut self, judged: &Judged) {
        let failure = match &judged.verdict {
            None => return self.unchecked += 1,
            Some(Verdict::Good) => return self.good += 1,
            Some(Verdict::Bad(failure)) => failure,
        };
        match self
            .groups
            .iter_mut()
            .find(|group| group.failure == *failure)
        {
            Some(group) => {
                group.states += 1;
                if judged.lost.len() < group.lost.len() {
                    group.example = judged.id.clone();
                    group.lost.clone_from(&judged.lost);
                }
            }
            None => self.groups.push(Group {
                failure: failure.clone(),
                states: 1,
                example: judged.id.clone(),
                lost: judged.lost.clone(),
            }),
        }
    }

    /// How many states are bad.
    pub fn bad(&self) -> u64 {
        self.groups.iter().map(|group| group.states).sum()
    }

    /// How many states there are.
    pub fn distinct(&self) -> u64 {
        self.good + self.unchecked + self.bad()
    }
}

impl Group {
    /// Finds the fewest pieces whose loss alone still fails in this way.
    pub fn shrink(
        &mut self,
        judge: &Judge<'_>,
        walk: &Walk,
        history: &History,
        deltas: &Deltas,
    ) -> io::Result<()> {
        let point = self.example.point;
        let at_point = Walk {
            from: point,
            to: point,
            ..walk.clone()
        };
        let mut failed = Ok(());
        let _ = at_point.points(history, deltas, |_, space, durable| {
            let without = |lost: &[usize]| {
                let mut subset = Subset::all(space.pieces().len());
                lost.iter().for_each(|piece| subset.set(*piece, false));
                subset
            };
            let lost: Vec<_> = self.example.subset.lost().collect();
            let small = shrink(&lost, |lost| {
                let subset = without(lost);
                let content = space.content(durable, &subset);
                match judge.verdict(&StateId { point, subset }, &content) {
                    Ok(verdict) => verdict == Some(Verdict::Bad(self.failure.clone())),
                    Err(error) => {
                        failed = Err(error);
                        false
                    }
                }
            });
            self.example.subset = without(&small);
            self.lost = small
                .iter()
                .map(|piece| space.pieces()[*piece].clone())
                .collect();
            ControlFlow::Break(())
        });
        failed
    }
}
