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
    /// States that were not checked.
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
            let is_the_same = |subset: Subset| {
                let content = space.content(durable, &subset);
                let verdict = judge.verdict(&StateId { point, subset }, &content)?;
                Ok(verdict == Some(Verdict::Bad(self.failure.clone())))
            };
            let all = space.pieces().len();
            let lost: Vec<_> = self.example.subset.lost().collect();
            let small = shrink(&lost, |lost| {
                let result = is_the_same(Subset::without(lost, all));
                result.unwrap_or_else(|error| {
                    failed = Err(error);
                    false
                })
            });
            self.lost = small
                .iter()
                .map(|piece| space.pieces()[*piece].clone())
                .collect();
            self.example.subset = Subset::without(&small, all);
            ControlFlow::Break(())
        });
        failed
    }
}
