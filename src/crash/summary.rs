//! What a walk has found: bad states that failed alike, and the smallest loss that fails so.

use std::fmt::Write;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::judge::{Examiner, Judge, Judged};
use super::source::Source;
use super::space::Piece;
use super::subset::Subset;
use super::verdict::{Failure, Verdict};
use super::walk::{StateId, Walk};
use crate::units::shrink;

/// Groups of bad states whose smallest loss is looked for, and that are shown: those of an examiner that says
/// something else each time are as many as its states.
const SHOWN: usize = 8;

/// Lines of a failure's output, and lost pieces, that are shown.
const LINES: usize = 20;

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

    /// Finds the smallest loss of each group that is shown, until `is_over`.
    pub fn shrink(
        &mut self,
        judge: &Judge,
        examiner: &dyn Examiner,
        walk: &Walk,
        is_over: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut groups = self.groups.iter_mut().take(SHOWN);
        groups.try_for_each(|group| match is_over() {
            true => Ok(()),
            false => group.shrink(judge, examiner, walk),
        })
    }

    /// The groups as a person reads them.
    pub fn text(&self, source: &Source, tear: Option<u64>) -> String {
        let groups = self.groups.iter().take(SHOWN);
        let mut text: String = groups.map(|group| group.text(source, tear)).collect();
        if let Some(more @ 1..) = self.groups.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "... and {more} more ways to fail");
        }
        text
    }
}

impl Group {
    /// Finds the fewest pieces whose loss alone still fails in this way.
    fn shrink(&mut self, judge: &Judge, examiner: &dyn Examiner, walk: &Walk) -> io::Result<()> {
        let point = self.example.point;
        let at_point = Walk {
            from: point,
            to: point,
            ..walk.clone()
        };
        let mut failed = Ok(());
        let history = &judge.source().history;
        let _ = at_point.points(history, judge.deltas(), |_, space, durable| {
            let is_the_same = |subset: Subset| {
                let content = space.content(durable, &subset);
                let verdict = judge.verdict(examiner, &StateId { point, subset }, &content)?;
                Ok(verdict == Verdict::Bad(self.failure.clone()))
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

    fn text(&self, source: &Source, tear: Option<u64>) -> String {
        let failure = &self.failure;
        let states = if self.states == 1 { "state" } else { "states" };
        let mut text = format!("BAD: {} {states}: {}\n", self.states, failure.how);
        for line in failure.output.lines().take(LINES) {
            let _ = writeln!(text, "  | {line}");
        }
        let lost: Vec<_> = self.lost.iter().take(LINES).map(Piece::to_string).collect();
        let lost = match (self.lost.len(), lost.join(", ")) {
            (0, _) => "nothing".into(),
            (1..=LINES, lost) => lost,
            (all, lost) => format!("{lost} and {} more", all - LINES),
        };
        let _ = writeln!(text, "  smallest loss: {lost}");
        if let Some(mark) = source.history.mark_before(self.example.point) {
            let _ = writeln!(text, "  after the mark: {mark}");
        }
        let _ = writeln!(text, "  again: {}", self.again(source, tear));
        text
    }

    /// The command line that makes its example.
    fn again(&self, source: &Source, tear: Option<u64>) -> String {
        let word = |path: &Path| {
            let path = path.to_string_lossy();
            let quoted = shlex::try_quote(&path).map(|path| path.into_owned());
            quoted.unwrap_or_else(|_| path.into_owned())
        };
        let mut line = format!("provium states {}", word(&source.log_path));
        if let Some(base) = source.base_to_name() {
            let _ = write!(line, " --base {}", word(base));
        }
        if let Some(tear) = tear {
            let _ = write!(line, " --tear {tear}");
        }
        let _ = write!(line, " --only {} --out bad.img", self.example);
        line
    }
}
