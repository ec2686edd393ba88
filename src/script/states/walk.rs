//! The states of a log: finding them, serving them, and remembering what checks have said.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::examiner::{Called, Check, Key, checker};
use super::kept::Kept;
use super::options;
use crate::crash::{self, Deltas, Examiner, Judge, Judged, Shelf, Source, Verdict, Walk};
use crate::script::bind::{CallResult, Options};
use crate::script::context::Context;
use crate::server::StateMount;

/// Checks whose verdicts are remembered, each apart: those of a check that is made anew for each state are of no use.
const REMEMBERED: usize = 16;

/// The states of a log, and what was said of them. Clones share it.
#[derive(Clone)]
pub(super) struct Walked(Rc<Inner>);

struct Inner {
    source: Arc<Source>,
    deltas: Arc<Deltas>,
    shelf: Arc<StateMount>,
    kept: Arc<Kept>,
    walk: Walk,
    prune: bool,
    found: RefCell<crash::States>,
    judges: RefCell<Vec<(Key, Rc<Judge>)>>,
}

/// The states of the log at `log`, as the options say. The options that a call knows were checked.
pub(super) fn start(context: &Context, log: &Path, options: &Options) -> CallResult<Walked> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let source = Source::open(log, &options::base(context, options)?);
    let source = Arc::new(source.map_err(|error| error.to_string())?);
    let walk = options::walk(options, &source.history)?;
    let prune = options::prune(options)?;
    let deltas = Deltas::of(&source.history, &source.log, &source.base, |_| ());
    let deltas = deltas.map_err(|error| failed("cannot read the data of the log", &error))?;
    let deltas = Arc::new(deltas);
    let shelf = StateMount::start(&source);
    let shelf = shelf.map_err(|error| failed("cannot serve states", &error))?;
    let shelf = Arc::new(shelf);
    let kept = Arc::new(Kept::new(&shelf, &source, &deltas));
    let found = crash::States::start(&source, &deltas, walk.clone());
    let found = found.map_err(|error| failed("cannot walk the states", &error))?;
    Ok(Walked(Rc::new(Inner {
        source,
        deltas,
        shelf,
        kept,
        walk,
        prune,
        found: RefCell::new(found),
        judges: RefCell::default(),
    })))
}

impl Walked {
    /// The next one.
    pub(super) fn next(&self) -> Option<Judged> {
        self.0.found.borrow_mut().next()
    }

    pub(super) fn source(&self) -> &Source {
        &self.0.source
    }

    /// Where a state becomes a file of its own.
    pub(super) fn shelf(&self) -> &dyn Shelf {
        &*self.0.shelf
    }

    /// Where those are that a guest looks at.
    pub(super) fn kept(&self) -> &Kept {
        &self.0.kept
    }

    /// Which states are meant.
    pub(super) fn walk(&self) -> &Walk {
        &self.0.walk
    }

    /// One that knows no verdicts.
    pub(super) fn new_judge(&self) -> Judge {
        let inner = &self.0;
        let shelf: Arc<dyn Shelf> = Arc::clone(&inner.kept) as _;
        Judge::new(&inner.source, &inner.deltas, &shelf, inner.prune)
    }

    /// The one that knows the verdicts of `check`.
    fn judge_of(&self, context: &Context, check: &Check) -> CallResult<Rc<Judge>> {
        let key = check.key(context)?;
        let mut judges = self.0.judges.borrow_mut();
        for (known, judge) in judges.iter() {
            if known.is(context, &key)? {
                return Ok(Rc::clone(judge));
            }
        }
        if judges.len() >= REMEMBERED {
            judges.remove(0);
        }
        let judge = Rc::new(self.new_judge());
        judges.push((key, Rc::clone(&judge)));
        Ok(judge)
    }

    /// What `check` says of a state.
    pub(super) fn check(
        &self,
        context: &Context,
        state: &Judged,
        check: &Check,
        options: &Options,
    ) -> CallResult<Verdict> {
        let timeout = options::timeout(options)?;
        let judge = self.judge_of(context, check)?;
        let verdict = |examiner: &dyn Examiner| judge.verdict(examiner, &state.id, &state.content);
        let verdict = match check {
            Check::Command(command) => verdict(&checker(context, command, timeout)),
            Check::Function(function) => {
                Called::new(context, function).and_then(|called| verdict(&called))
            }
        };
        context.limit().check()?;
        Ok(verdict.map_err(|error| error.to_string())?)
    }
}
