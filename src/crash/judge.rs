//! Judging all states of a walk, several side by side.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::check::Checker;
use super::content::Content;
use super::deltas::Deltas;
use super::image::{Source, StateImage};
use super::space::Piece;
use super::verdict::{Verdict, Verdicts};
use super::walk::{Found, StateId, Walk};

/// States that wait for a checker, for each.
const AHEAD: usize = 64;

/// Where states become files.
pub trait Shelf: Sync {
    /// Serves `image` as a file called `name`, and returns its path.
    fn serve(&self, name: &str, image: &Arc<StateImage>) -> io::Result<PathBuf>;
    /// Takes that file away.
    fn withdraw(&self, name: &str) -> io::Result<()>;
}

/// A state and what was found of it.
#[derive(Debug)]
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

/// How states are judged.
pub struct Judge<'a> {
    source: &'a Arc<Source>,
    deltas: &'a Deltas,
    checker: Option<&'a Checker>,
    shelf: &'a dyn Shelf,
    /// None where each state is checked.
    known: Option<Mutex<Verdicts>>,
    checks: AtomicU64,
}

/// A state that waits to be judged, with its number.
type Task = (u64, Judged);

impl<'a> Judge<'a> {
    /// Judges states of `source` with `checker`. With `prune`, states that agree with a checked one in
    /// all that its checker has read have its verdict.
    pub fn new(
        source: &'a Arc<Source>,
        deltas: &'a Deltas,
        checker: Option<&'a Checker>,
        shelf: &'a dyn Shelf,
        prune: bool,
    ) -> Self {
        Self {
            source,
            deltas,
            checker,
            shelf,
            known: prune.then(Mutex::default),
            checks: AtomicU64::new(0),
        }
    }

    /// How often a checker has run.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// The verdict of the state `id`.
    pub fn verdict(&self, id: &StateId, content: &Content) -> io::Result<Option<Verdict>> {
        let Some(checker) = self.checker else {
            return Ok(None);
        };
        let history = &self.source.history;
        let mark = match checker.takes_mark() {
            true => history.mark_step(id.point),
            false => None,
        };
        if let Some(known) = &self.known
            && let Some(verdict) = known.lock().of(content, mark, history, self.deltas)
        {
            return Ok(Some(verdict.clone()));
        }
        let image = Arc::new(StateImage::new(self.source, content.clone()));
        let name = id.to_string();
        let path = self.shelf.serve(&name, &image)?;
        let verdict = checker.check(&path, history.mark_before(id.point));
        self.shelf.withdraw(&name)?;
        let verdict = verdict?;
        self.checks.fetch_add(1, Ordering::Relaxed);
        if let Some(known) = &self.known {
            let read = image.read_sectors();
            known
                .lock()
                .learn(read, verdict.clone(), content, mark, history, self.deltas);
        }
        Ok(Some(verdict))
    }

    /// Judges each state of `walk`, `jobs` side by side, and hands them to `each` in the order of the
    /// walk, until that breaks. Returns how many states there were, equal ones included.
    pub fn walk(
        &self,
        walk: &Walk,
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
                scope.spawn(move || self.work(&waiting, &results));
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
        walk.for_each(&self.source.history, self.deltas, |found| {
            let sent = tasks.send((number, Judged::of(&found)));
            number += 1;
            match sent.is_err() || stopped.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    }

    fn work(&self, tasks: &Receiver<Task>, results: &Sender<io::Result<Task>>) {
        for (number, mut judged) in tasks {
            let verdict = self.verdict(&judged.id, &judged.content);
            let result = verdict.map(|verdict| {
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
    fn of(found: &Found<'_>) -> Self {
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
