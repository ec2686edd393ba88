//! The distinct states of a walk, one after the other.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use super::deltas::Deltas;
use super::judge::{AHEAD, Judged};
use super::source::Source;
use super::walk::Walk;

/// A walk in a thread of its own, which ends with this.
#[derive(Debug)]
pub struct States {
    found: Receiver<Judged>,
    all: Arc<AtomicU64>,
}

impl States {
    /// Begins to walk.
    pub fn start(source: &Arc<Source>, deltas: &Arc<Deltas>, walk: Walk) -> io::Result<Self> {
        let (tx, found) = bounded(AHEAD);
        let all = Arc::<AtomicU64>::default();
        let (source, deltas, states) = (Arc::clone(source), Arc::clone(deltas), Arc::clone(&all));
        let find = move || {
            let number = walk.for_each(&source.history, &deltas, |found| {
                match tx.send(Judged::of(&found)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            states.store(number, Ordering::Relaxed);
        };
        thread::Builder::new().name("states".into()).spawn(find)?;
        Ok(Self { found, all })
    }

    /// How many states there were, equal ones included; 0 until the last one was found.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Iterator for States {
    type Item = Judged;

    fn next(&mut self) -> Option<Judged> {
        self.found.recv().ok()
    }
}
