//! A disk that is swept: one rule is armed after the other, and its trace is followed.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;

use super::{ClientError, DiskControl, Trace};
use crate::fault::{Edit, Rule};
use crate::protocol::{Counts, Note, Noted, TraceLine};
use crate::sweep::{Observed, Order, TAG, Watched};

/// What the marks begin with that tell which lines of the trace belong to a run.
const FENCE: &str = "provium-sweep:";

/// How long the trace may take to come to a mark that was set.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long requests that the rule holds may take to be answered once they are let go.
const LET_GO: Duration = Duration::from_secs(1);

/// Between two looks at them.
const TICK: Duration = Duration::from_millis(5);

/// A disk that is swept. Its rule is disarmed, and its trace let go, when this is dropped.
#[derive(Debug)]
pub struct SweptDisk {
    control: DiskControl,
    /// None before the first run.
    observed: Arc<Mutex<Option<Observed>>>,
    /// The marks that the trace has come to.
    fences: Option<Receiver<String>>,
    armed: Option<Rule>,
    marks: u64,
}

impl SweptDisk {
    /// Begins to follow the trace of a disk.
    pub fn follow(control: &DiskControl) -> Result<Self, ClientError> {
        let trace = control.trace()?;
        let (tx, fences) = unbounded();
        let observed = Arc::<Mutex<Option<Observed>>>::default();
        let shared = Arc::clone(&observed);
        let follow = move || follow(trace, &shared, &tx);
        let thread = thread::Builder::new().name("sweep".into()).spawn(follow);
        thread.map_err(ClientError::io(control.path()))?;
        Ok(Self {
            control: control.clone(),
            observed,
            fences: Some(fences),
            armed: None,
            marks: 0,
        })
    }

    /// The disk.
    pub fn control(&self) -> &DiskControl {
        &self.control
    }

    /// A run of `order` begins: `rule` is armed, and what comes from now on belongs to it.
    pub fn begin(&mut self, order: &Order, rule: &Rule) -> Result<(), ClientError> {
        self.fence()?;
        let observed = Observed::new(&order.fault, order.from.as_deref());
        *self.observed.lock() = Some(observed);
        self.control.edit_faults(&[Edit::Add(rule.clone())])?;
        self.armed = Some(rule.clone());
        Ok(())
    }

    /// The run has ended: the rule is disarmed.
    pub fn end(&mut self) -> Result<Watched, ClientError> {
        let counts = self.counts()?;
        self.fence()?;
        if counts.fired > 0 {
            self.let_go()?;
        }
        self.disarm()?;
        let observed = self.observed.lock().take();
        let observed = observed.ok_or_else(|| self.gone("was not followed"))?;
        Ok(Watched {
            matched: counts.matched,
            fired: counts.fired,
            observed,
        })
    }

    /// Disarms the rule, if it is armed.
    pub fn disarm(&mut self) -> Result<(), ClientError> {
        match self.armed.take() {
            Some(rule) => self.control.edit_faults(&[Edit::Remove(rule)]),
            None => Ok(()),
        }
    }

    /// Lets go what the rule holds: the trace shows a request when it is answered.
    fn let_go(&mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + LET_GO;
        while !self.shows_the_fault() && Instant::now() < deadline {
            // It fails where nothing is held.
            let _ = self.control.release(TAG, None);
            thread::sleep(TICK);
            self.fence()?;
        }
        Ok(())
    }

    fn shows_the_fault(&self) -> bool {
        let observed = self.observed.lock();
        observed.as_ref().is_some_and(Observed::shows_the_fault)
    }

    fn counts(&self) -> Result<Counts, ClientError> {
        let text = self.armed.as_ref().map(Rule::to_string).unwrap_or_default();
        let rules = self.control.rules()?;
        let ours = rules.iter().find(|line| line.rule == text);
        ours.map(|line| line.counts).ok_or_else(|| {
            ClientError::Rejected(format!(
                "disk `{}` has lost the rule of the sweep (tag={TAG}): what is swept must not clear faults",
                self.control.id()
            ))
        })
    }

    /// Waits until the trace has come to a mark that is set now.
    fn fence(&mut self) -> Result<(), ClientError> {
        self.marks += 1;
        let text = format!("{FENCE} {}", self.marks);
        self.control.mark(&text)?;
        let Some(fences) = &self.fences else {
            return Ok(());
        };
        loop {
            match fences.recv_timeout(PATIENCE) {
                Ok(mark) if mark == text => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.gone("does not come")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone("has ended")),
            }
        }
    }

    fn gone(&self, what: &str) -> ClientError {
        ClientError::Rejected(format!("the trace of disk `{}` {what}", self.control.id()))
    }
}

impl Drop for SweptDisk {
    fn drop(&mut self) {
        let _ = self.disarm();
        // The thread finds that nobody waits for the mark.
        self.fences = None;
        let _ = self.control.mark(FENCE);
    }
}

/// Notes the lines of a trace to its end, and tells of marks.
fn follow(trace: Trace, observed: &Mutex<Option<Observed>>, fences: &Sender<String>) {
    for line in trace.map_while(Result::ok) {
        if let Some(text) = fence_of(&line) {
            if fences.send(text).is_err() {
                return;
            }
        } else if let Some(observed) = &mut *observed.lock() {
            observed.note(&line);
        }
    }
}

fn fence_of(line: &TraceLine<'_>) -> Option<String> {
    match line {
        TraceLine::Noted(Noted {
            note: Note::Mark(text),
            ..
        }) if text.starts_with(FENCE) => Some(text.clone()),
        TraceLine::Noted(_) | TraceLine::Answered(_) | TraceLine::Lost(_) => None,
    }
}
