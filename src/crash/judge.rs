//! Judging states: what was found of one, and all states of a walk, several side by side.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::content::Content;
use super::deltas::Deltas;
use super::sectors::Sectors;
use super::source::Source;
use super::space::Piece;
use super::verdict::{Verdict, Verdicts};
use super::walk::{Found, StateId, Walk};

/// States that wait for a checker, for each.
pub(super) const AHEAD: usize = 64;

/// Where states become files.
pub trait Shelf: Send + Sync {
    /// Serves the state that holds `content` as a file called `name`, and returns its path.
    fn serve(&self, name: &str, content: &Content) -> io::Result<PathBuf>;
    /// Takes the file at `path` away. Returns the sectors of the state that were read.
    fn withdraw(&self, path: &Path) -> io::Result<Sectors>;
}

/// What looks at a state and says whether it is as it should be.
pub trait Examiner {
    /// Whether its verdict depends on the last mark before a state.
    fn takes_mark(&self) -> bool;
    /// Looks at the state at `path`, which it may write to, after the mark `mark` of the log.
    fn examine(&self, path: &Path, mark: Option<&str>) -> io::Result<Verdict>;
}

/// A state and what was found of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its name.
    pub id: StateId,
    /// The pieces that are lost in it.
    pub lost: Vec<Piece>,
    /// What it holds.
    pub content: Content,
    /// None where no checker was given.
    pub verdict: Option<Verdict>,
}

/// What judges the states of a source.
pub struct Judge {
    source: Arc<Source>,
    deltas: Arc<Deltas>,
    shelf: Arc<dyn Shelf>,
    /// None where each state is checked.
    known: Option<Mutex<Verdicts>>,
    checks: AtomicU64,
}

/// A state that waits to be judged, with its number.
type Task = (u64, Judged);

impl Judge {
    /// Judges states of `source`. With `prune`, states that agree with a checked one in all that its examiner has
    /// read have its verdict: ask one examiner alone then.
    pub fn new(
        source: &Arc<Source>,
        deltas: &Arc<Deltas>,
        shelf: &Arc<dyn Shelf>,
        prune: bool,
    ) -> Self {
        Self {
            source: Arc::clone(source),
            deltas: Arc::clone(deltas),
            shelf: Arc::clone(shelf),
            known: prune.then(Mutex::default),
            checks: AtomicU64::new(0),
        }
    }

    /// What its states are made of.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// By how much requests change the sum of a content.
    pub fn deltas(&self) -> &Deltas {
        &self.deltas
    }

    /// How often an examiner was asked.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// What `examiner` says of the state `id`.
    pub fn verdict(
        &self,
        examiner: &dyn Examiner,
        id: &StateId,
        content: &Content,
    ) -> io::Result<Verdict> {
        let history = &self.source.history;
        let mark = match examiner.takes_mark() {
            true => history.mark_step(id.point),
            false => None,
        };
        if let Some(known) = &self.known
            && let Some(verdict) = known.lock().of(content, mark, history, &self.deltas)
        {
            return Ok(verdict.clone());
        }
        let path = self.shelf.serve(&id.file_name(), content)?;
        let verdict = examiner.examine(&path, history.mark_before(id.point));
        let read = self.shelf.withdraw(&path);
        let (verdict, read) = (verdict?, read?);
        self.checks.fetch_add(1, Ordering::Relaxed);
        if let Some(known) = &self.known {
            let mut known = known.lock();
            known.learn(read, verdict.clone(), content, mark, history, &self.deltas);
        }
        Ok(verdict)
    }

    /// Has `examiner` judge each state of `walk`, `jobs` side by side, and hands them to `each` in the order of the
    /// walk, until that breaks. Returns how many states there were, equal ones included.
    pub fn walk<E: Examiner + Sync>(
        &self,
        walk: &Walk,
        examiner: Option<&E>,
        jobs: usize,
        mut each: impl FnMut(Judged) -> ControlFlow<()>,
    ) -> io::Result<u64> {
        let stopped = AtomicBool::new(false);
        let (tasks, waiting) = bounded(AHEAD * jobs);
        let (results, judged) = bounded(AHEAD * jobs);
        std::thread::scope(|scope| {
            let walker = scope.spawn(|| self.find(walk, &stopped, tasks));
            for _ in 0..jobs {
                let (waiting, results) = (waiting.clone(), results.clone());
                scope.spawn(move || self.work(examiner, &waiting, &results));
            }
            drop((waiting, results));
            let result = in_order(&judged, &mut each);
            stopped.store(true, Ordering::Relaxed);
            // A worker that has a result to send sees that nothing receives it, and ends.
            drop(judged);
            let states = walker.join().unwrap_or_default();
            result.map(|()| states)
        })
    }

    fn find(&self, walk: &Walk, stopped: &AtomicBool, tasks: Sender<Task>) -> u64 {
        let mut number = 0;
        walk.for_each(&self.source.history, &self.deltas, |found| {
            let sent = tasks.send((number, Judged::of(&found)));
            number += 1;
            match sent.is_err() || stopped.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    }

    fn work<E: Examiner>(
        &self,
        examiner: Option<&E>,
        tasks: &Receiver<Task>,
        results: &Sender<io::Result<Task>>,
    ) {
        for (number, mut judged) in tasks {
            let verdict =
                examiner.map(|examiner| self.verdict(examiner, &judged.id, &judged.content));
            let result = verdict.transpose().map(|verdict| {
                judged.verdict = verdict;
                (number, judged)
            });
            if results.send(result).is_err() {
                return;
            }
        }
    }
}

impl Judged {
    pub(super) fn of(found: &Found<'_>) -> Self {
        let pieces = found.space.pieces();
        Self {
            id: found.id.clone(),
            lost: found
                .id
                .subset
                .lost()
                .map(|number| pieces[number].clone())
                .collect(),
            content: found.space.content(found.durable, &found.id.subset),
            verdict: None,
        }
    }
}

/// Hands results to `each` in the order of their numbers.
fn in_order(
    results: &Receiver<io::Result<Task>>,
    each: &mut impl FnMut(Judged) -> ControlFlow<()>,
) -> io::Result<()> {
    let (mut next, mut early) = (0, HashMap::new());
    for result in results {
        let (number, judged) = result?;
        early.insert(number, judged);
        while let Some(judged) = early.remove(&next) {
            next += 1;
            if each(judged).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
