//! Walking all states of a log, each content once.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;

use xxhash_rust::xxh3::xxh3_64;

use super::content::Content;
use super::deltas::Deltas;
use super::history::{Cursor, History};
use super::pick::Pick;
use super::space::Space;
use super::subset::Subset;

/// Where in a log states are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// After each entry.
    #[default]
    Entry,
    /// Before each flush, and at the end.
    Flush,
}

/// Which states are walked.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The first point, as a number of entries.
    pub from: usize,
    /// The last.
    pub to: usize,
    /// Which points between.
    pub at: At,
    /// Which states of each.
    pub picks: Vec<Pick>,
    /// The number of sectors of a piece; None for whole requests.
    pub tear: Option<u64>,
    /// Decides chance.
    pub seed: u64,
    /// States with equal contents after different marks are two.
    pub by_mark: bool,
}

/// What names a state: `POINT.SUBSET`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateId {
    /// How many entries of the log have been passed.
    pub point: usize,
    /// Which of the pending pieces survive.
    pub subset: Subset,
}

impl fmt::Display for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.point, self.subset)
    }
}

impl StateId {
    /// A name for its file: the ID, or what stands for one that is longer than a name should be.
    pub fn file_name(&self) -> String {
        const LONGEST: usize = 200;
        let id = self.to_string();
        match id.len() <= LONGEST {
            true => id,
            false => format!("{}.hash-{:016x}", self.point, xxh3_64(id.as_bytes())),
        }
    }
}

/// A state that was found.
pub struct Found<'a> {
    /// Its name.
    pub id: StateId,
    /// Equal for equal contents.
    pub sum: u128,
    /// All states at its point.
    pub space: &'a Space,
    /// What is durable there.
    pub durable: &'a Content,
}

/// What is durable while a log is passed entry by entry.
struct Durable<'a> {
    history: &'a History,
    deltas: &'a Deltas,
    content: Content,
    sum: u128,
}

impl Durable<'_> {
    fn apply(&mut self, request: usize) {
        let sectors = &self.history.requests[request].sectors;
        let delta = |request: usize, part: &std::ops::Range<u64>| {
            let start = self.history.requests[request].sectors.start;
            self.deltas.of_part(request, start, part)
        };
        for (part, before) in self.content.apply(request, sectors) {
            let before = before.map_or(0, |before| delta(before, &part));
            self.sum = self
                .sum
                .wrapping_add(delta(request, &part))
                .wrapping_sub(before);
        }
    }
}

impl Walk {
    /// Calls `each` with every state that has not been met before. Returns how many states there were,
    /// those with equal contents included.
    pub fn for_each(
        &self,
        history: &History,
        deltas: &Deltas,
        mut each: impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> u64 {
        let (mut met, mut states) = (HashSet::new(), 0);
        let _ = self.points(history, deltas, |point, space, durable| {
            let seed = self.seed ^ point as u64;
            let mark = self.by_mark.then(|| history.mark_step(point));
            self.picks.iter().try_for_each(|pick| {
                pick.for_each(space.pieces().len(), seed, &mut |subset| {
                    states += 1;
                    let sum = space.sum(subset);
                    if !met.insert((sum, mark)) {
                        return ControlFlow::Continue(());
                    }
                    each(Found {
                        id: StateId {
                            point,
                            subset: subset.clone(),
                        },
                        sum,
                        space,
                        durable,
                    })
                })
            })
        });
        states
    }

    /// Calls `each` with every point, all of its states, and what is durable there.
    pub fn points(
        &self,
        history: &History,
        deltas: &Deltas,
        mut each: impl FnMut(usize, &Space, &Content) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut durable = Durable {
            history,
            deltas,
            content: Content::default(),
            sum: 0,
        };
        let mut cursor = Cursor::start(history);
        loop {
            if self.looks_at(&cursor) {
                let candidates = cursor.candidates();
                let space = Space::new(
                    history,
                    deltas,
                    &durable.content,
                    durable.sum,
                    &candidates,
                    self.tear,
                );
                each(cursor.point(), &space, &durable.content)?;
            }
            if cursor.point() >= self.to || !cursor.advance(|request| durable.apply(request)) {
                return ControlFlow::Continue(());
            }
        }
    }

    fn looks_at(&self, cursor: &Cursor<'_>) -> bool {
        let is_inside = (self.from..=self.to).contains(&cursor.point());
        is_inside
            && match (self.at, cursor.next_step()) {
                (At::Entry, _) | (At::Flush, None) => true,
                (At::Flush, Some(step)) => step.is_flush,
            }
    }
}
